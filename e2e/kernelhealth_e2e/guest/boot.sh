#!/bin/sh
# First program of a test node, run as root in new mount, PID, network, UTS and IPC namespaces.
# It gives them a root of their own and becomes the node's process 1.
#
#   boot.sh RUN BINARIES NAME ADDRESS...
#
# The root is this machine's, seen through an overlay: every write below / goes to memory and is gone
# with the node, so neither the kubelet, a CNI plugin nor a privileged pod changes the machine.
set -eu
tree=$(cd "$(dirname "$0")/../../.." && pwd)
run=$1 binaries=$2 name=$3
shift 3
root=$run/root
mount --make-rprivate /

mount -t tmpfs -o mode=755 node-changes "$run/changes"
mkdir "$run/changes/upper" "$run/changes/work"
mount -t overlay -o "lowerdir=/,upperdir=$run/changes/upper,workdir=$run/changes/work" \
	node-root "$root"
# An overlay shows one file system: where these are mounts of their own, they are brought along.
for place in /usr /var /opt; do
	if mountpoint -q "$place"; then mount --rbind -o ro "$place" "$root$place"; fi
done

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 node-run "$root/run"
mount -t tmpfs -o mode=1777 node-tmp "$root/tmp"
mkdir -p "$root/run/lock" "$root$run" "$root$binaries"
mount --bind "$run" "$root$run"
# Fault makers run on the node from this very tree, which may be below /tmp.
mkdir -p "$root$tree"
mount --rbind "$tree" "$root$tree"
mount -o remount,bind,ro "$root$tree"
mount --bind -o ro "$binaries" "$root$binaries"

# What grows with images and pods is on disk.
for place in /var/lib/containerd /var/lib/kubelet /var/log/pods; do
	mkdir -p "$run/disk$place" "$root$place"
	mount --bind "$run/disk$place" "$root$place"
done

# The kubelet sets these for the whole kernel; here it sets a copy. The last one says which boot this
# is: ../simulated_boot.py changes the copy.
for tunable in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
	kernel/keys/root_maxkeys kernel/keys/root_maxbytes kernel/random/boot_id; do
	mkdir -p "$run/tunables/${tunable%/*}"
	cat "/proc/sys/$tunable" >"$run/tunables/$tunable"
	mount --bind "$run/tunables/$tunable" "$root/proc/sys/$tunable"
done

mkdir "$root/.machine"
cd "$root"
pivot_root . .machine
umount -l /.machine
rmdir /.machine
mount --make-rshared /

echo "$name" >/proc/sys/kernel/hostname
ip link set lo up
ip link add node0 type dummy 2>/dev/null || ip link add node0 type bridge
ip link set node0 up
for address in "$@"; do ip address add "$address" dev node0; done
exec "$run/node-init"
