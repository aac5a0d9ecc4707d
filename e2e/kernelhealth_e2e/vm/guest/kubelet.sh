#!/bin/sh
# Becomes the kubelet of the harness, which is in the machine's files.
. /share/settings
exec "$binaries/kubelet" --config=/etc/kubernetes/kubelet.yaml \
	--kubeconfig=/etc/kubernetes/kubelet.kubeconfig --hostname-override="$name" \
	--node-ip="$address" --node-labels="$labels" --register-with-taints="$taints"
