// What a test does to its own thread, which Swift cannot import. As in CLinux: at least 0, or -errno.
#ifndef CTESTCALLS_H
#define CTESTCALLS_H

#include <stdint.h>

// From now on the calling thread has a table of descriptors of its own: a copy of what there was.
int tst_own_descriptors(void);
// From now on the sockets that the calling thread makes are in a network namespace of its own, where nothing is. Needs root.
int tst_own_network(void);
// The calling thread looks at files as this user from now on; 0 has every right again.
int tst_look_as(uint32_t uid);

#endif
