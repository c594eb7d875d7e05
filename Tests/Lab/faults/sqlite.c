// SQLite itself.

#include "failcall.h"

#include <stdint.h>

// Of its header only what is interposed.
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
enum { SQLITE_BUSY = 5, SQLITE_NOMEM = 7, SQLITE_IOERR = 10, SQLITE_FULL = 13 };

int sqlite3_open_v2(const char *, sqlite3 **, int, const char *);
int sqlite3_exec(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
int sqlite3_prepare_v3(sqlite3 *, const char *, int, unsigned, sqlite3_stmt **, const char **);
int sqlite3_step(sqlite3_stmt *);
int sqlite3_bind_int64(sqlite3_stmt *, int, int64_t);
int sqlite3_bind_null(sqlite3_stmt *, int);
int sqlite3_bind_text(sqlite3_stmt *, int, const char *, int, void (*)(void *));
int sqlite3_bind_text64(sqlite3_stmt *, int, const char *, uint64_t, void (*)(void *), unsigned char);

// SQLite calls itself within: only what the daemon asked for is counted.
#define SQLITE(name, failure, parameters, arguments, detail, ...)                   \
    int name parameters {                                                           \
        REAL(name);                                                                 \
        if (failcall_is_sqlite(__builtin_return_address(0))) return real arguments; \
        WAY(name, detail, __VA_ARGS__);                                             \
        if (way > 0) {                                                              \
            failure;                                                                \
            return way;                                                             \
        }                                                                           \
        return real arguments;                                                      \
    }

SQLITE(sqlite3_open_v2, *result = NULL, (const char *path, sqlite3 **result, int flags, const char *system),
       (path, result, flags, system), path, SQLITE_NOMEM)
SQLITE(sqlite3_exec, if (message != NULL) *message = NULL,
       (sqlite3 * database, const char *text, int (*each)(void *, int, char **, char **), void *context, char **message),
       (database, text, each, context, message), text, SQLITE_IOERR, SQLITE_FULL, SQLITE_BUSY)
SQLITE(sqlite3_prepare_v3, *result = NULL,
       (sqlite3 * database, const char *text, int length, unsigned flags, sqlite3_stmt **result, const char **rest),
       (database, text, length, flags, result, rest), text, SQLITE_NOMEM, SQLITE_BUSY)
SQLITE(sqlite3_step, , (sqlite3_stmt * statement), (statement), "", SQLITE_IOERR, SQLITE_FULL, SQLITE_BUSY, SQLITE_NOMEM)
SQLITE(sqlite3_bind_int64, , (sqlite3_stmt * statement, int place, int64_t value), (statement, place, value), "",
       SQLITE_NOMEM)
SQLITE(sqlite3_bind_null, , (sqlite3_stmt * statement, int place), (statement, place), "", SQLITE_NOMEM)
SQLITE(sqlite3_bind_text, , (sqlite3_stmt * statement, int place, const char *text, int length, void (*end)(void *)),
       (statement, place, text, length, end), "", SQLITE_NOMEM)
SQLITE(sqlite3_bind_text64, ,
       (sqlite3_stmt * statement, int place, const char *text, uint64_t length, void (*end)(void *), unsigned char code),
       (statement, place, text, length, end, code), "", SQLITE_NOMEM)
