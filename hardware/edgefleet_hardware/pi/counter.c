/* Counts, by class, the A64 instructions that an emulated program executes, and writes the counts down at marks.
 *
 * A TCG plugin for QEMU's user mode, plugin API version 1 (QEMU 4.2 to 8.2; docs/devel/tcg-plugins.rst). The few
 * functions used are declared here because distributions package no header for plugins.
 *
 * A mark is lseek(fd, MARK + number, ...): a system call that Python has, that fails nowhere on /dev/null, and that
 * nobody makes by chance with such an offset. Each mark writes one line: its number, then the counts since the start.
 * Counters are not atomic: count programs of one thread.
 *
 * Encodings: Arm Architecture Reference Manual for A-profile (DDI 0487), chapter C4, "A64 Instruction Set Encoding".
 */

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct block;
struct instruction;
enum inline_operation { ADD_U64 };

typedef void block_translated(plugin_id, struct block *);
typedef void system_call(plugin_id, unsigned cpu, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                         uint64_t, uint64_t, uint64_t);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, block_translated *);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, system_call *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct block *, enum inline_operation, void *counter, uint64_t amount);
size_t qemu_plugin_tb_n_insns(const struct block *);
struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t index);
const void *qemu_plugin_insn_data(const struct instruction *);

#define AARCH64_LSEEK 62 /* include/uapi/asm-generic/unistd.h of Linux */
/* MARK, whose lowest 24 bits are 0, comes from the command line of the C compiler (root.py). */
#define MARK_NUMBERS UINT64_C(0xFFFFFF)

enum class { DOT, INT_MLAL, FLOAT_MLA, SIMD_OTHER, LOAD_STORE, OTHER, CLASSES };

static uint64_t counts[CLASSES];
static FILE *output;

/* Bits high to low of a word. */
static uint32_t bits(uint32_t word, int high, int low)
{
    return (word >> low) & ((UINT32_C(1) << (high - low + 1)) - 1);
}

/* Advanced SIMD three same: integer and floating-point arithmetic on vectors of equal shape. */
static enum class three_same(uint32_t word)
{
    uint32_t opcode = bits(word, 15, 11), unsigned_bit = bits(word, 29, 29);
    if (opcode == 0x12 || (opcode == 0x13 && !unsigned_bit)) /* MLA, MLS; MUL */
        return INT_MLAL;
    if (opcode == 0x19 && !unsigned_bit) /* FMLA, FMLS */
        return FLOAT_MLA;
    return SIMD_OTHER;
}

/* Advanced SIMD three different: results wider than operands. */
static enum class three_different(uint32_t word)
{
    uint32_t opcode = bits(word, 15, 12);
    return opcode >= 0x8 && opcode <= 0xD ? INT_MLAL : SIMD_OTHER; /* [SU]MLAL, [SU]MLSL, [SU]MULL, SQDML[AS]L, SQDMULL */
}

/* Advanced SIMD vector x indexed element. */
static enum class by_element(uint32_t word)
{
    uint32_t opcode = bits(word, 15, 12), unsigned_bit = bits(word, 29, 29);
    switch (opcode) {
    case 0x0: case 0x4: /* MLA, MLS; without U: FMLAL, FMLSL */
        return unsigned_bit ? INT_MLAL : FLOAT_MLA;
    case 0x1: case 0x5: /* FMLA, FMLS; with U: FCMLA */
        return unsigned_bit ? SIMD_OTHER : FLOAT_MLA;
    case 0x2: case 0x6: case 0xA: /* [SU]MLAL, [SU]MLSL, [SU]MULL */
        return INT_MLAL;
    case 0x3: case 0x7: case 0x8: case 0xB: /* SQDMLAL, SQDMLSL, MUL, SQDMULL; with U: FCMLA */
        return unsigned_bit ? SIMD_OTHER : INT_MLAL;
    case 0xE: /* SDOT, UDOT */
        return DOT;
    default:
        return SIMD_OTHER;
    }
}

/* Scalar floating-point and Advanced SIMD data processing. */
static enum class simd(uint32_t word)
{
    if ((word & 0x9F000000) == 0x0F000000 && !bits(word, 10, 10))
        return by_element(word);
    if ((word & 0x9F200C00) == 0x0E200000)
        return three_different(word);
    if ((word & 0x9F200400) == 0x0E200400)
        return three_same(word);
    if ((word & 0x9F20FC00) == 0x0E009400) /* three same extra: SDOT, UDOT */
        return DOT;
    if ((word & 0xBF60FC00) == 0x0E400C00) /* three same, half precision: FMLA, FMLS */
        return FLOAT_MLA;
    return SIMD_OTHER;
}

static enum class class_of(uint32_t word)
{
    uint32_t group = bits(word, 28, 25);
    if ((group & 0x5) == 0x4)
        return LOAD_STORE;
    if ((group & 0x7) == 0x7)
        return simd(word);
    return OTHER;
}

/* Let each execution of a block add what the block holds. */
static void on_translation(plugin_id id, struct block *block)
{
    uint64_t held[CLASSES] = {0};
    size_t length = qemu_plugin_tb_n_insns(block);
    (void)id;
    for (size_t index = 0; index < length; index++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, index)), sizeof word);
        held[class_of(word)]++;
    }
    for (int class = 0; class < CLASSES; class++)
        if (held[class])
            qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counts[class], held[class]);
}

static void on_system_call(plugin_id id, unsigned cpu, int64_t number, uint64_t fd, uint64_t offset, uint64_t a3,
                           uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)fd, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != AARCH64_LSEEK || (offset & ~MARK_NUMBERS) != MARK)
        return;
    fprintf(output, "%" PRIu64, offset & MARK_NUMBERS);
    for (int class = 0; class < CLASSES; class++)
        fprintf(output, ",%" PRIu64, counts[class]);
    fputc('\n', output);
    fflush(output);
}

PUBLIC int qemu_plugin_version = 1;

PUBLIC int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    static const char option[] = "out=";
    (void)info;
    if (argc != 1 || strncmp(argv[0], option, strlen(option)) != 0) {
        fputs("counter: expected out=FILE\n", stderr);
        return 1;
    }
    output = fopen(argv[0] + strlen(option), "w");
    if (!output) {
        perror("counter: the output file");
        return 1;
    }
    fputs("mark,dot,int_mlal,float_mla,simd_other,load_store,other\n", output);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    return 0;
}
