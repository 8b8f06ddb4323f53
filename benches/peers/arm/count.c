/* Counts the instructions that a program executes under qemu's user emulation.
 *
 *     qemu-aarch64 -plugin count.so,out=FILE PROGRAM
 *
 * The sum of all threads goes to FILE when the program ends, or to standard error. A block of code that qemu has
 * translated is counted as a whole when it is entered, by an addition among the translated code: no call, so that the
 * program runs about as fast as without. Threads may lose each other's additions; measure programs of one.
 *
 * qemu's plugin interface, version 1, is declared here, because no package of qemu-user has its header. */

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, enum qemu_plugin_op operation, void *sum,
                                              uint64_t addend);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*ended)(qemu_plugin_id_t, void *), void *data);

EXPORT int qemu_plugin_version = 1;

static uint64_t executed;
static char file[4096];

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &executed,
                                             qemu_plugin_tb_n_insns(block));
}

static void ended(qemu_plugin_id_t id, void *data)
{
    (void)id, (void)data;
    FILE *out = file[0] ? fopen(file, "w") : stderr;
    if (!out) {
        perror(file);
        return;
    }
    fprintf(out, "%" PRIu64 "\n", executed);
    fflush(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) || strlen(argv[i] + 4) >= sizeof file) {
            fprintf(stderr, "count: what is %s?\n", argv[i]);
            return -1;
        }
        strcpy(file, argv[i] + 4);
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
