#!/bin/busybox sh
# The first process of the guest: mounts what tests need, runs them, sends their report, ends the machine.
# What it says goes to the console; the report goes through a serial port of its own.

/bin/busybox mkdir -p /bin /sbin /usr/bin /usr/sbin /dev /proc /sys /tmp /root
/bin/busybox --install -s /bin
# Programs of the host come first: tests compare with them, not with those of busybox.
export PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Groups below can be limited in their memory.
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t securityfs securityfs /sys/kernel/security
ip link set lo up
ulimit -n 65536
hostname guest

echo "Linux $(uname -r), $(nproc) CPUs, lsm=$(cat /sys/kernel/security/lsm)"
for module in $(cat /run/modules); do
  insmod "$module" || echo "insmod $module failed"
done
cut -d ' ' -f 1 /proc/uptime | sed 's/^/booted at /'

cd /skep || exit 1
# The status is that of vitest, not of what shows its words: reports do not have errors outside of tests.
{ sh /run/tests 2>&1; echo $? > /run/status; } | cat
echo "tests ended with status $(cat /run/status) at $(cut -d ' ' -f 1 /proc/uptime)"

# Raw: the terminal would change ends of lines. The last line tells a whole report from a part of one.
stty -F /dev/ttyS1 raw -echo
[ -f /tmp/report.json ] && {
  cat /tmp/report.json
  echo
  echo "status $(cat /run/status)"
  echo end of report
} > /dev/ttyS1
echo "report sent at $(cut -d ' ' -f 1 /proc/uptime)"
sync
poweroff -f
