/*
 * For CRIU 4.1, Debian's: since Linux 6.16 only some families of sockets know SO_PASSCRED and SO_PASSSEC, and CRIU gives up when a
 * TCP socket refuses to tell them. Here they are 0 then, as they were before. CRIU 4.2 does not need this.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_unknown(long result, int level, int name)
{
    return result < 0 && errno == EOPNOTSUPP && level == SOL_SOCKET && (name == SO_PASSCRED || name == SO_PASSSEC);
}

int getsockopt(int socket, int level, int name, void *restrict value, socklen_t *restrict length)
{
    long result = syscall(SYS_getsockopt, socket, level, name, value, length);
    if (is_unknown(result, level, name)) {
        memset(value, 0, *length);
        return 0;
    }
    return (int)result;
}

int setsockopt(int socket, int level, int name, const void *value, socklen_t length)
{
    long result = syscall(SYS_setsockopt, socket, level, name, value, length);
    return is_unknown(result, level, name) ? 0 : (int)result;
}
