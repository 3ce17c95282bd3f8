//! The C library's clocks, entropy and thread creation, replaced by tripwires.
//!
//! madsim brings its own replacements, so a judges' build is without these.

use std::ffi::{c_int, c_long, c_uint, c_void};

use flurm_sim::tripwire;

/// The byte every fixed draw of entropy consists of.
const FIXED: u8 = 0x5a;

/// Replaces `getrandom(2)`.
///
/// # Safety
/// As `getrandom(2)`: `buffer` points to `len` writable bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getrandom(buffer: *mut c_void, len: usize, flags: c_uint) -> isize {
    if tripwire::entropy_is_fixed() {
        // SAFETY: the caller promises `len` writable bytes at `buffer`.
        unsafe { std::ptr::write_bytes(buffer.cast::<u8>(), FIXED, len) };
        return isize::try_from(len).unwrap_or(isize::MAX);
    }
    tripwire::check("entropy (getrandom)");
    // SAFETY: the arguments are passed on as they came.
    unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) as isize }
}

/// Replaces `getentropy(3)`.
///
/// # Safety
/// As `getentropy(3)`: `buffer` points to `len` writable bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getentropy(buffer: *mut c_void, len: usize) -> c_int {
    // SAFETY: the arguments are passed on as they came.
    let got = unsafe { getrandom(buffer, len, 0) };
    if usize::try_from(got) == Ok(len) { 0 } else { -1 }
}

/// Replaces `clock_gettime(2)`.
///
/// # Safety
/// As `clock_gettime(2)`: `time` points to a writable `timespec`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> c_int {
    tripwire::check("the real clock (clock_gettime)");
    // SAFETY: the arguments are passed on as they came.
    unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), time) as c_int }
}

/// Replaces `gettimeofday(2)`.
///
/// # Safety
/// As `gettimeofday(2)`: `time` is null or points to a writable `timeval`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn gettimeofday(time: *mut libc::timeval, zone: *mut c_void) -> c_int {
    tripwire::check("the real clock (gettimeofday)");
    // SAFETY: the arguments are passed on as they came.
    unsafe { libc::syscall(libc::SYS_gettimeofday, time, zone) as c_int }
}

/// Replaces `time(2)`.
///
/// # Safety
/// As `time(2)`: `out` is null or points to a writable `time_t`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn time(out: *mut libc::time_t) -> libc::time_t {
    tripwire::check("the real clock (time)");
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let clock = c_long::from(libc::CLOCK_REALTIME);
    // SAFETY: `now` is a writable timespec.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut now) };
    if !out.is_null() {
        // SAFETY: the caller promises a writable `time_t` unless null.
        unsafe { *out = now.tv_sec };
    }
    now.tv_sec
}

type ThreadBody = extern "C" fn(*mut c_void) -> *mut c_void;
type PthreadCreate = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    ThreadBody,
    *mut c_void,
) -> c_int;

/// Replaces `pthread_create(3)`.
///
/// # Safety
/// As `pthread_create(3)`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    body: ThreadBody,
    argument: *mut c_void,
) -> c_int {
    tripwire::check("a thread (pthread_create)");
    // SAFETY: the name is a C string; the symbol, when found, is the C library's own function of
    // this very type.
    let real = unsafe {
        let symbol = libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr());
        assert!(!symbol.is_null(), "the C library has pthread_create");
        std::mem::transmute::<*mut c_void, PthreadCreate>(symbol)
    };
    // SAFETY: the arguments are passed on as they came.
    unsafe { real(thread, attributes, body, argument) }
}
