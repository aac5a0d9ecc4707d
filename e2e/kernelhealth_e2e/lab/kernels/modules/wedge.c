// SPDX-License-Identifier: GPL-2.0-only
/*
 * wedge - a pernet exit handler that does not come back, when it is told so.
 *
 * For the kernel lab.  The kernel has one worker that dismantles network
 * namespaces; whatever handler keeps it keeps every namespace behind it.
 * Real ones were inet_frags_exit_net() up to Linux 4.16, which went round and
 * round for a counter that had lost count, and handlers that wait for a
 * reference that nobody gives back.
 *
 * Parameters, all of them writable at any time:
 *
 *	hold	0: let go at once; 1: sleep, deaf even to SIGKILL; 2: spin
 *	early	whether it holds the worker before the links of the namespaces
 *		are removed, or after that, as inet_frags_exit_net() did
 *
 * What is held goes on when hold becomes 0, and when the module is removed.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/wait_bit.h>
#include <net/net_namespace.h>

enum wedge_hold {
	WEDGE_NOT,
	WEDGE_SLEEPING,
	WEDGE_SPINNING,
};

static unsigned int hold;
static bool early;
module_param(early, bool, 0644);
MODULE_PARM_DESC(early, "hold before the links are removed, not after");

static int hold_set(const char *text, const struct kernel_param *param)
{
	int err = param_set_uint_minmax(text, param, WEDGE_NOT, WEDGE_SPINNING);

	if (!err)
		wake_up_var(&hold);
	return err;
}

static const struct kernel_param_ops hold_ops = {
	.set = hold_set,
	.get = param_get_uint,
};
module_param_cb(hold, &hold_ops, &hold, 0644);
MODULE_PARM_DESC(hold, "0: not at all, 1: asleep, 2: spinning");

static noinline void wedge_hold(void)
{
	while (READ_ONCE(hold) != WEDGE_NOT) {
		if (READ_ONCE(hold) == WEDGE_SLEEPING)
			wait_var_event(&hold, READ_ONCE(hold) != WEDGE_SLEEPING);
		else
			cond_resched();
	}
}

/* Handlers of devices run first, then the links go, then those of subsystems. */
static void __net_exit wedge_before_links(struct net *net)
{
	if (READ_ONCE(early))
		wedge_hold();
}

static void __net_exit wedge_after_links(struct net *net)
{
	if (!READ_ONCE(early))
		wedge_hold();
}

static struct pernet_operations wedge_device_ops = {
	.exit = wedge_before_links,
};

static struct pernet_operations wedge_subsystem_ops = {
	.exit = wedge_after_links,
};

static int __init wedge_init(void)
{
	int err = register_pernet_subsys(&wedge_subsystem_ops);

	if (err)
		return err;
	err = register_pernet_device(&wedge_device_ops);
	if (err)
		unregister_pernet_subsys(&wedge_subsystem_ops);
	return err;
}

static void __exit wedge_exit(void)
{
	/* Unregistering waits for the worker. */
	WRITE_ONCE(hold, WEDGE_NOT);
	wake_up_var(&hold);
	unregister_pernet_device(&wedge_device_ops);
	unregister_pernet_subsys(&wedge_subsystem_ops);
}

module_init(wedge_init);
module_exit(wedge_exit);
MODULE_DESCRIPTION("Keeps network namespaces from being destroyed, for tests");
MODULE_LICENSE("GPL");
