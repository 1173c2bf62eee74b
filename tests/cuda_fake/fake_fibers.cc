/* fake_fibers.cc - the threads of a block as fibers, which change only where one waits.
 *
 * A fiber that runs a thread to its end goes on with the next thread that has not begun, so a
 * kernel without barriers needs one fiber and no switch. A thread that waits hands over to the
 * next that can run, in its own warp first; when none can, the block is stuck for good. */
#include "fake_state.h"

#include <memory>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAKE_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define FAKE_ASAN 1
#endif
#ifdef FAKE_ASAN
#include <sanitizer/common_interface_defs.h>
#define UNCHECKED_FRAME __attribute__((no_sanitize_address)) /* of a function left for good */
#else
#define UNCHECKED_FRAME
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

/* ------------------------------------------------------------ fibers */

static const size_t STACK_BYTES = 256 << 10;
static const unsigned WARP = 32;

namespace {
struct fiber {
#if defined(__x86_64__)
    void *top; /* of the saved stack */
#else
    ucontext_t context;
#endif
    char *bottom;
    size_t n_bytes;
    void *fake_stack; /* AddressSanitizer's */
    fiber *next_idle;
};
} // namespace

#if defined(__x86_64__)
/* Saves what a call preserves on the stack and goes on with another. swapcontext would do, but
 * calls the kernel each time, and a check switches some hundred million times. */
extern "C" void fake_swap_stacks(void **save, void *load);
__asm__(".text\n"
        ".p2align 4\n"
        ".type fake_swap_stacks, @function\n"
        "fake_swap_stacks:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
        "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n"
        "    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size fake_swap_stacks, .-fake_swap_stacks\n");

static void begin_at(fiber *f, void (*entry)(void)) {
    void **top = (void **)(f->bottom + f->n_bytes);
    *--top = NULL; /* where entry would return to */
    *--top = (void *)entry;
    for (int i = 0; i < 6; i++) *--top = NULL; /* registers */
    f->top = top;
}

static void swap_stacks(fiber *from, fiber *to) {
    fake_swap_stacks(&from->top, to->top);
}
#else
static void begin_at(fiber *f, void (*entry)(void)) {
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->bottom;
    f->context.uc_stack.ss_size = f->n_bytes;
    f->context.uc_link = NULL;
    makecontext(&f->context, entry, 0);
}

static void swap_stacks(fiber *from, fiber *to) {
    swapcontext(&from->context, &to->context);
}
#endif

static fiber launcher; /* the thread that called */
static fiber *running = &launcher;
static fiber *came_from;
static fiber *idle_fibers; /* kept to the end of the program */

static fiber *take_fiber(void (*entry)(void)) {
    fiber *f = idle_fibers;
    if (f) {
        idle_fibers = f->next_idle;
    } else {
        size_t guard = (size_t)sysconf(_SC_PAGESIZE); /* the lowest page: overflow stops here */
        f = new fiber();
        f->bottom = (char *)mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (f->bottom == MAP_FAILED || mprotect(f->bottom, guard, PROT_NONE) != 0) {
            perror("fake CUDA: stack of a fiber");
            abort();
        }
        f->bottom += guard;
        f->n_bytes = STACK_BYTES - guard;
    }
    begin_at(f, entry);
    return f;
}

/* `ends`: nothing comes back here. */
static void switch_to(fiber *to, bool ends) {
    fiber *from = running;
    came_from = from;
    running = to;
#ifdef FAKE_ASAN
    __sanitizer_start_switch_fiber(ends ? NULL : &from->fake_stack, to->bottom, to->n_bytes);
#else
    (void)ends;
#endif
    swap_stacks(from, to);
#ifdef FAKE_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

/* First on each new fiber. */
static void arrive_on_fiber(void) {
#ifdef FAKE_ASAN
    const void *bottom;
    size_t n_bytes;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &n_bytes);
    if (came_from != &launcher) return;
    launcher.bottom = (char *)bottom;
    launcher.n_bytes = n_bytes;
#endif
}

/* ------------------------------------------------------------ the block that runs */

namespace {
struct thread {
    uint3 place;
    fiber *on; /* NULL: has not begun */
    bool returned;
    const unsigned *counter; /* waits while it is `seen`; NULL: does not wait */
    unsigned seen;
    const char *waits_for;
};

/* Lanes with one mask hand over values; the slots of a round stay while the next one fills the
 * others, and no lane can be two rounds ahead. */
struct exchange {
    unsigned mask, arrived, round;
    const char *kind;
    size_t n_bytes;
    unsigned char slots[2][WARP * FAKE_SLOT_BYTES];
};

struct warp {
    unsigned live; /* lanes that have not returned */
    std::vector<std::unique_ptr<exchange>> exchanges;
};
} // namespace

static struct {
    const fake_shape *shape;
    const std::function<void()> *body;
    unsigned n_threads, n_live, current;
    unsigned barrier_arrived, barrier_round;
    std::vector<thread> threads;
    std::vector<warp> warps;
    unsigned char *shared;
    bool reverse;
} block;

void fake_reverse_threads(bool reverse) {
    block.reverse = reverse;
}

unsigned char *fake_dynamic_shared(void) {
    return block.shared;
}

unsigned fake_lane(void) {
    return block.current % WARP;
}

[[noreturn]] static void stop(const char *why) {
    fprintf(stderr, "fake CUDA: kernel %s, block (%u, %u, %u), thread %u: %s\n",
            block.shape->name, blockIdx.x, blockIdx.y, blockIdx.z, block.current, why);
    std::vector<bool> told(block.n_threads);
    for (unsigned i = 0; i < block.n_threads; i++) {
        const thread *t = &block.threads[i];
        if (told[i] || t->returned || !t->counter) continue;
        unsigned n = 0;
        for (unsigned j = i; j < block.n_threads; j++) {
            const thread *u = &block.threads[j];
            if (u->returned || !u->counter || strcmp(u->waits_for, t->waits_for) != 0) continue;
            told[j] = true;
            n++;
        }
        fprintf(stderr, "  %u threads, %u the first, wait at %s\n", n, i, t->waits_for);
    }
    fprintf(stderr, "  %u of %u threads have returned\n", block.n_threads - block.n_live,
            block.n_threads);
    abort();
}

/* The first after `from` in the ring [begin, begin + n) that can run; NONE. */
static const unsigned NONE = ~0u;
static unsigned find_in(unsigned from, unsigned begin, unsigned n) {
    unsigned step = block.reverse ? n - 1 : 1;
    for (unsigned tried = 0, i = from - begin; tried < n; tried++) {
        i += step;
        if (i >= n) i -= n;
        const thread *t = &block.threads[begin + i];
        if (!t->returned && (!t->counter || *t->counter != t->seen)) return begin + i;
    }
    return NONE;
}

static unsigned find_next(unsigned from) {
    unsigned begin = from / WARP * WARP, rest = block.n_threads - begin;
    unsigned next = find_in(from, begin, rest < WARP ? rest : WARP);
    return next != NONE ? next : find_in(from, 0, block.n_threads);
}

static void make_current(unsigned i) {
    block.current = i;
    threadIdx = block.threads[i].place;
}

static void run_threads(void);

static void wait_on(const unsigned *counter, const char *kind) {
    thread *me = &block.threads[block.current];
    me->counter = counter;
    me->seen = *counter;
    me->waits_for = kind;
    unsigned next = find_next(block.current);
    if (next == NONE) stop("no thread can go on");
    thread *t = &block.threads[next];
    make_current(next);
    if (!t->on) t->on = take_fiber(run_threads);
    switch_to(t->on, false);
    me->counter = NULL;
}

static void end_barrier(void) {
    block.barrier_arrived = 0;
    block.barrier_round++;
}

void __syncthreads(void) {
    if (++block.barrier_arrived == block.n_live)
        end_barrier();
    else
        wait_on(&block.barrier_round, "__syncthreads");
}

static void end_exchange(exchange *e) {
    unsigned char *slots = e->slots[e->round % 2];
    for (unsigned l = 0; ~e->arrived != 0 && l < WARP; l++)
        if (!(e->arrived >> l & 1)) memset(slots + l * FAKE_SLOT_BYTES, 0xff, FAKE_SLOT_BYTES);
    e->arrived = 0;
    e->round++;
}

static exchange *find_exchange(warp *w, unsigned mask) {
    for (auto &e : w->exchanges)
        if (e->mask == mask) return e.get();
    w->exchanges.emplace_back(new exchange());
    w->exchanges.back()->mask = mask;
    return w->exchanges.back().get();
}

const unsigned char *fake_warp_share(const char *kind, unsigned mask, const void *mine,
                                     size_t n_bytes) {
    unsigned lane = fake_lane();
    warp *w = &block.warps[block.current / WARP];
    if (!(mask >> lane & 1)) stop("a lane is not in the mask that it names");
    exchange *e = find_exchange(w, mask);
    if (e->arrived == 0) {
        e->kind = kind;
        e->n_bytes = n_bytes;
    } else if (strcmp(e->kind, kind) != 0 || e->n_bytes != n_bytes) {
        stop(kind);
    }
    unsigned char *slots = e->slots[e->round % 2];
    if (n_bytes > 0) memcpy(slots + lane * FAKE_SLOT_BYTES, mine, n_bytes);
    e->arrived |= 1u << lane;
    if (e->arrived == (mask & w->live))
        end_exchange(e);
    else
        wait_on(&e->round, kind);
    return slots;
}

/* A thread that has returned takes part in nothing, which may be what others wait for. */
static void end_thread(void) {
    warp *w = &block.warps[block.current / WARP];
    block.threads[block.current].returned = true;
    block.n_live--;
    w->live &= ~(1u << fake_lane());
    if (block.barrier_arrived > 0 && block.barrier_arrived == block.n_live) end_barrier();
    for (auto &e : w->exchanges)
        if (e->arrived != 0 && e->arrived == (e->mask & w->live)) end_exchange(e.get());
}

/* Where each fiber begins; it ends by leaving for another. */
UNCHECKED_FRAME static void run_threads(void) {
    arrive_on_fiber();
    for (;;) {
        (*block.body)();
        end_thread();
        unsigned next = find_next(block.current);
        if (next == NONE && block.n_live > 0) stop("no thread can go on");
        thread *t = next == NONE ? NULL : &block.threads[next];
        if (t) make_current(next);
        if (t && !t->on) {
            t->on = running;
            continue;
        }
        running->next_idle = idle_fibers;
        idle_fibers = running;
        switch_to(t ? t->on : &launcher, true);
    }
}

/* ------------------------------------------------------------ the grid */

static void shape_block(const fake_shape &shape) {
    dim3 d = shape.block;
    block.shape = &shape;
    block.n_threads = d.x * d.y * d.z;
    block.threads.assign(block.n_threads, thread());
    for (unsigned i = 0; i < block.n_threads; i++)
        block.threads[i].place = {i % d.x, i / d.x % d.y, i / d.x / d.y};
    block.warps.clear();
    block.warps.resize((block.n_threads + WARP - 1) / WARP);
    blockDim = shape.block;
    gridDim = shape.grid;
}

static void run_block(void) {
    if (block.shared) memset(block.shared, 0xff, block.shape->shared_bytes);
    for (thread &t : block.threads) {
        t.on = NULL;
        t.returned = false;
    }
    for (size_t i = 0; i < block.warps.size(); i++) {
        unsigned n = block.n_threads - (unsigned)i * WARP;
        block.warps[i].live = n >= WARP ? ~0u : (1u << n) - 1;
    }
    block.n_live = block.n_threads;
    block.barrier_arrived = 0;
    unsigned first = block.reverse ? block.n_threads - 1 : 0;
    make_current(first);
    block.threads[first].on = take_fiber(run_threads);
    switch_to(block.threads[first].on, false);
}

void fake_run_grid(const fake_shape &shape, const std::function<void()> &body) {
    void *shared = NULL;
    if (shape.shared_bytes > 0 && posix_memalign(&shared, 128, shape.shared_bytes) != 0)
        abort();
    shape_block(shape);
    block.body = &body;
    block.shared = (unsigned char *)shared;
    for (unsigned z = 0; z < shape.grid.z; z++)
        for (unsigned y = 0; y < shape.grid.y; y++)
            for (unsigned x = 0; x < shape.grid.x; x++) {
                blockIdx = {x, y, z};
                run_block();
            }
    block.shared = NULL;
    free(shared);
}
