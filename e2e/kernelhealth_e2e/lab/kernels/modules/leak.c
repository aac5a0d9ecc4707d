// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that loses memory with every network namespace, and complains.
 *
 * For the test lab only. Each namespace that is made takes "objects" objects of
 * "size" bytes from a slab cache and never gives them back, as network code
 * does that forgets its part of a namespace's end. The cache is called khleak.
 * The kernel merges it with any other cache of that size, unless "alone" is
 * set: then it is counted under its own name.
 *
 * Writing to these parameters makes real complaints, in the words that the
 * kernel itself has for such trouble:
 *
 *   warning	a WARN()
 *   oops	a null pointer, followed by a kernel thread
 *   badpage	a page that is freed as if it were still mapped
 *   dentry	a path whose dentry is used for ever: unmount its filesystem
 *   inode	a path whose inode is used for ever: remove it, then unmount
 *
 * What is lost stays lost, therefore the module cannot be unloaded.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>

static unsigned int objects;
module_param(objects, uint, 0644);
MODULE_PARM_DESC(objects, "how many objects each new network namespace loses");

static unsigned int size = 1024;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of an object");

static bool alone;
module_param(alone, bool, 0444);
MODULE_PARM_DESC(alone, "whether the cache is kept from being merged");

static struct kmem_cache *cache;

static int __net_init leak_net_init(struct net *net)
{
	unsigned int left;

	for (left = READ_ONCE(objects); left; left--)
		if (!kmem_cache_alloc(cache, GFP_KERNEL))
			return -ENOMEM;
	return 0;
}

static struct pernet_operations leak_net_ops = {
	.init = leak_net_init,
};

static int warn(const char *unused)
{
	WARN(true, "leak: this is the warning that was asked for\n");
	return 0;
}

static int follow_null(void *unused)
{
	/* Not at zero itself, which the compiler would turn into a trap. */
	WRITE_ONCE(*(unsigned long *)16, 0);
	return 0;
}

/*
 * Not in the thread of the writer: it would die with the lock that guards all
 * parameters.
 */
static int oops(const char *unused)
{
	return PTR_ERR_OR_ZERO(kthread_run(follow_null, NULL, "leak_oops"));
}

/*
 * The second page of a pair is looked at as soon as the pair is freed. A single
 * page would go to a list of its processor first, to be found by somebody else
 * at some other time.
 */
static int free_mapped_page(const char *unused)
{
	struct page *pair = alloc_pages(GFP_KERNEL, 1);

	if (!pair)
		return -ENOMEM;
	atomic_inc(&pair[1]._mapcount);
	__free_pages(pair, 1);
	return 0;
}

static int lose_dentry(const char *name)
{
	struct path path;
	int error = kern_path(name, 0, &path);

	if (error)
		return error;
	mntput(path.mnt);	/* Its dentry is what is not put. */
	return 0;
}

static int lose_inode(const char *name)
{
	struct path path;
	int error = kern_path(name, 0, &path);

	if (error)
		return error;
	ihold(d_inode(path.dentry));
	path_put(&path);
	return 0;
}

struct complaint {
	int (*make)(const char *argument);
};

static int make_complaint(const char *value, const struct kernel_param *param)
{
	const struct complaint *complaint = param->arg;
	char *argument, *copy = kstrdup(value, GFP_KERNEL);
	int error;

	if (!copy)
		return -ENOMEM;
	argument = strim(copy);
	error = complaint->make(argument);
	kfree(copy);
	return error;
}

static const struct kernel_param_ops complaint_ops = {
	.set = make_complaint,
};

#define COMPLAINT(name, function)					\
	static struct complaint name##_complaint = { .make = function };	\
	module_param_cb(name, &complaint_ops, &name##_complaint, 0200)

COMPLAINT(warning, warn);
COMPLAINT(oops, oops);
COMPLAINT(badpage, free_mapped_page);
COMPLAINT(dentry, lose_dentry);
COMPLAINT(inode, lose_inode);

/* The kernel does not merge a cache whose objects have a constructor. */
static void construct(void *unused)
{
}

static int __init leak_init(void)
{
	int error;

	cache = kmem_cache_create("khleak", size, 0, 0, alone ? construct : NULL);
	if (!cache)
		return -ENOMEM;
	error = register_pernet_subsys(&leak_net_ops);
	if (error)
		kmem_cache_destroy(cache);
	return error;
}
module_init(leak_init);

MODULE_DESCRIPTION("Loses memory with each network namespace, and makes the kernel complain");
MODULE_LICENSE("GPL");
