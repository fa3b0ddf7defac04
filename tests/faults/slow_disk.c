/* A slow disk: loaded before other libraries (LD_PRELOAD), it lets fsync and fdatasync wait before they do their work.
 *
 * How long is in a file that tests write and every process maps, named by SLOW_DISK: two ints, the least and the most
 * milliseconds; a third one counts how often somebody has waited. Nothing else changes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile int *milliseconds;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("SLOW_DISK");
    int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, 3 * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        milliseconds = mapped;
    close(file);
}

static void linger(void)
{
    struct timespec now, pause;
    int least = milliseconds ? milliseconds[0] : 0, most = milliseconds ? milliseconds[1] : 0;
    if (most <= 0)
        return;
    __sync_fetch_and_add(&milliseconds[2], 1);
    clock_gettime(CLOCK_MONOTONIC, &now);
    long wait = least + (most > least ? now.tv_nsec / 1000 % (most - least) : 0);
    pause.tv_sec = wait / 1000;
    pause.tv_nsec = wait % 1000 * 1000000;
    while (nanosleep(&pause, &pause) != 0) /* a signal has come: the rest */
        ;
}

int fsync(int file)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    linger();
    return real(file);
}

int fdatasync(int file)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    linger();
    return real(file);
}
