#!/bin/sh
# check-inodes.sh PATH PERCENT: whether the file system of a path of the host has inodes left.
# Exit 0 all is well, 1 there is trouble, 2 it cannot be told.
path="${KERNELHEALTH_ROOT%/}/$1"
used=$(df --output=ipcent "$path" 2>/dev/null | tail -n 1 | tr -dc 0-9)
if [ -z "$used" ]; then
  echo "the file system of /$1 does not count inodes"
  exit 2
fi
echo "$used % of the inodes of /$1 are in use"
[ "$used" -lt "$2" ]
