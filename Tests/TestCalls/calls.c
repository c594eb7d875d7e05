#include "CTestCalls.h"

#include <errno.h>
#include <sched.h>
#include <sys/fsuid.h>

int tst_own_descriptors(void) { return unshare(CLONE_FILES) < 0 ? -errno : 0; }

int tst_own_network(void) { return unshare(CLONE_NEWNET) < 0 ? -errno : 0; }

int tst_look_as(uint32_t uid) {
    setfsuid(uid);
    // It tells no error, but what was in force before.
    return setfsuid(uid) == (int)uid ? 0 : -EPERM;
}
