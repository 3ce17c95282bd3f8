//! mimalloc for the executable: a simulated world is made of many small values that live briefly.
//!
//! It asks the clock only in order to give memory back to the system after a while, which would trip
//! over the tripwires, so it keeps what it has.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys as mi;

/// `mi_option_purge_delay` of mimalloc.h; -1 is never.
const PURGE_DELAY: mi::mi_option_t = 15;

struct Mimalloc;

#[global_allocator]
static ALLOCATOR: Mimalloc = Mimalloc;

// SAFETY: each call is mimalloc's own of the same meaning; it gives blocks of at least the asked size
// and alignment or null, from any thread.
unsafe impl GlobalAlloc for Mimalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: mimalloc takes any size, and alignments that are powers of two, as a layout's are.
        unsafe { mi::mi_malloc_aligned(layout.size(), layout.align()).cast() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { mi::mi_zalloc_aligned(layout.size(), layout.align()).cast() }
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller promises that the block came from here.
        unsafe { mi::mi_free(block.cast()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the block came from here with this layout.
        unsafe { mi::mi_realloc_aligned(block.cast(), size, layout.align()).cast() }
    }
}

/// Forbids the allocator to look at the clock. Before any simulation.
pub(crate) fn settle() {
    // SAFETY: sets one number of mimalloc's own.
    unsafe { mi::mi_option_set(PURGE_DELAY, -1) }
}
