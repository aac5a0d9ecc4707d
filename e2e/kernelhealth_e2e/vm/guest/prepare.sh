#!/bin/sh
# Makes a node of the virtual machine, each time it boots: its files, its network, what a node sets.
# The harness has left in /share: etc/ and cni/ for the node, and these settings.
set -eu
. /share/settings
stage() { echo "prepare: $1 after $(cut -d' ' -f1 /proc/uptime) s" >/dev/kmsg; }

# The agent that may unload modules and reboot is only started where this is (see manifests/).
mkdir -p /run/kernelhealth-lab
: >/run/kernelhealth-lab/virtual-machine

rm -rf /etc/cni /etc/containerd
cp -r /share/etc/. /etc/
mkdir -p /opt/cni/bin /data/containerd /data/kubelet /var/lib/kubelet /var/lib/containerd
mount --bind /data/kubelet /var/lib/kubelet
mount --bind /data/containerd /var/lib/containerd
ln -sf /usr/lib/cni/* /opt/cni/bin/
install -m 755 /share/cni/* /opt/cni/bin/

modprobe -a virtio_net veth tun overlay br_netfilter nf_tables nf_conntrack $modules
ip link set lo up
ip address replace "$address/24" dev eth0
ip link set eth0 up
# No default route: of the world the guest sees the cluster and nothing else.
for place in $reaches; do ip route replace "$place" via "$gateway"; done
echo 1 >/proc/sys/net/ipv4/ip_forward
# The directory is there where the kernel has what belongs into it.
if [ -d /sys/kernel/debug ] && ! mountpoint -q /sys/kernel/debug; then
	mount -t debugfs debugfs /sys/kernel/debug
fi
stage "the node is prepared"
