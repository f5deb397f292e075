/*
 * A small tracing tool: which processes start and end, which files they open, how long they run.
 * Nobody loads it; it is what the benchmarks take for an object of everyday size and shape.
 */
#include VMLINUX_H
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define PATH_BYTES 128

char LICENSE[] SEC("license") = "GPL";

enum event_kind { EVENT_START, EVENT_OPEN, EVENT_EXIT };

struct event {
	enum event_kind kind;
	__u32 pid;
	__u32 parent;
	__u32 uid;
	__u64 time_ns;
	__u64 lifetime_ns;
	int exit_code;
	char command[TASK_COMM_LEN];
	char path[PATH_BYTES];
};

struct run {
	__u64 started_ns;
	__u64 opened;
	__u64 switched;
};

struct totals {
	__u64 starts;
	__u64 opens;
	__u64 exits;
	__u64 lost;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct run);
} runs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} inodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct totals);
} totals SEC(".maps");

const volatile __u32 only_uid = (__u32)-1;
const volatile bool with_paths = true;
__u64 lost_events = 0;

static struct totals *current_totals(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&totals, &zero);
}

static bool is_wanted(void)
{
	return only_uid == (__u32)-1 || only_uid == (__u32)bpf_get_current_uid_gid();
}

static struct event *new_event(enum event_kind kind)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!event) {
		__sync_fetch_and_add(&lost_events, 1);
		return NULL;
	}
	event->kind = kind;
	event->pid = BPF_CORE_READ(task, tgid);
	event->parent = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = BPF_CORE_READ(task, cred, uid.val);
	event->time_ns = bpf_ktime_get_ns();
	event->lifetime_ns = event->time_ns - BPF_CORE_READ(task, start_time);
	event->exit_code = BPF_CORE_READ(task, exit_code) >> 8;
	event->path[0] = 0;
	bpf_get_current_comm(event->command, sizeof(event->command));
	return event;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *binprm)
{
	struct run run = { .started_ns = bpf_ktime_get_ns() };
	struct totals *sum = current_totals();
	__u32 pid = BPF_CORE_READ(task, tgid);
	struct event *event;

	if (!is_wanted())
		return 0;
	bpf_map_update_elem(&runs, &pid, &run, BPF_ANY);
	if (sum)
		sum->starts++;
	event = new_event(EVENT_START);
	if (!event)
		return 0;
	if (with_paths)
		bpf_probe_read_kernel_str(event->path, PATH_BYTES, BPF_CORE_READ(binprm, filename));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	__u32 pid = BPF_CORE_READ(task, tgid);
	struct totals *sum = current_totals();
	struct event *event;

	if (!bpf_map_lookup_elem(&runs, &pid))
		return 0;
	bpf_map_delete_elem(&runs, &pid);
	if (sum)
		sum->exits++;
	event = new_event(EVENT_EXIT);
	if (event)
		bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *before, struct task_struct *after)
{
	__u32 pid = BPF_CORE_READ(after, tgid);
	struct run *run = bpf_map_lookup_elem(&runs, &pid);

	if (run)
		run->switched++;
	return 0;
}

SEC("fentry/vfs_open")
int BPF_PROG(on_open, const struct path *path, struct file *file)
{
	__u64 inode = BPF_CORE_READ(path, dentry, d_inode, i_ino);
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct run *run = bpf_map_lookup_elem(&runs, &pid);
	struct totals *sum = current_totals();
	__u64 one = 1, *seen;
	struct event *event;

	if (run)
		run->opened++;
	if (sum)
		sum->opens++;
	seen = bpf_map_lookup_elem(&inodes, &inode);
	if (seen) {
		*seen += 1;
		return 0;
	}
	bpf_map_update_elem(&inodes, &inode, &one, BPF_ANY);
	event = new_event(EVENT_OPEN);
	if (!event)
		return 0;
	bpf_probe_read_kernel_str(event->path, PATH_BYTES, BPF_CORE_READ(path, dentry, d_name.name));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_unlinkat")
int on_unlink(void *context)
{
	struct event *event = is_wanted() ? new_event(EVENT_OPEN) : NULL;

	if (event)
		bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("kprobe/do_exit")
int BPF_KPROBE(on_do_exit, long code)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	bpf_map_delete_elem(&runs, &pid);
	return 0;
}
