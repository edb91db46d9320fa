#!/bin/sh
# Boots a Debian tree with systemd as process 1, in its own namespaces; an overlay takes all writes:
# unshare --mount --pid --fork --uts --ipc --cgroup --net sh boot.sh <tree> <directory for the overlay>
set -e
root=$2/root
mkdir -p "$root" "$2/upper" "$2/work"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for directory in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$root/$directory"; done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ip link set lo up
mkdir -p "$root/old"
cd "$root"
pivot_root . old
umount -l /old
exec env -i container=other PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --log-target=null systemd.unified_cgroup_hierarchy=1
