/*
 * /init of a virtual machine of the tests: makes its root and hands over to
 * systemd.
 *
 * The root is the file system of the machine that runs the tests, read-only
 * over 9p, under an overlay whose changes are on the disk of the virtual
 * machine and so outlive its reboots.  The kernel's own modules and the
 * harness's directory (/share) are laid over it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLAN9 "trans=virtio,version=9p2000.L,msize=262144"

static void fail(const char *what)
{
	printf("init: %s: %s\n", what, strerror(errno));
	sleep(1);	/* The console is slower than the panic that follows. */
	exit(1);
}

static void mounted(const char *from, const char *to, const char *type,
		    unsigned long flags, const char *options)
{
	if (mkdir(to, 0755) != 0 && errno != EEXIST)
		fail(to);
	if (mount(from, to, type, flags, options) != 0)
		fail(to);
}

static void insert(const struct dirent *entry)
{
	char path[512];
	int file;

	if (entry->d_name[0] == '.')
		return;
	snprintf(path, sizeof(path), "/modules/%s", entry->d_name);
	file = open(path, O_RDONLY | O_CLOEXEC);
	/* Some are for other processors: what is missing shows soon enough. */
	if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
		printf("init: %s: %s\n", path, strerror(errno));
	if (file >= 0)
		close(file);
}

static void insert_all(void)
{
	struct dirent **entries;
	int count = scandir("/modules", &entries, NULL, alphasort);

	for (int i = 0; i < count; i++)
		insert(entries[i]);
}

int main(void)
{
	char *const argv[] = { "/lib/systemd/systemd", NULL };

	mounted("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	insert_all();
	mounted("machine", "/machine", "9p", MS_RDONLY, PLAN9 ",cache=loose");
	mounted("/dev/vda", "/disk", "ext4", MS_NOATIME, NULL);
	mkdir("/disk/changes", 0755);
	mkdir("/disk/work", 0755);
	mounted("root", "/root", "overlay", 0,
		"lowerdir=/machine,upperdir=/disk/changes,workdir=/disk/work");
	mounted("modules", "/root/usr/lib/modules", "9p", MS_RDONLY,
		PLAN9 ",cache=loose");
	mounted("share", "/root/share", "9p", 0, PLAN9 ",cache=none");
	mounted("/disk", "/root/data", NULL, MS_BIND, NULL);
	if (mount("/root/share/system.conf", "/root/etc/systemd/system.conf",
		  NULL, MS_BIND, NULL) != 0)
		fail("/root/etc/systemd/system.conf");
	mounted("/dev", "/root/dev", NULL, MS_MOVE, NULL);
	if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 ||
	    chroot(".") != 0 || chdir("/") != 0)
		fail("switching to the new root");
	/* The machine may be a container with the marks of one; this is none. */
	setenv("container", "", 1);
	execv(argv[0], argv);
	fail(argv[0]);
}
