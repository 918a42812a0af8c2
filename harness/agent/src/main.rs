#![no_std]
#![no_main]
//! Not written yet.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
core::arch::global_asm!(".globl _start", "_start:", "mov edi, 0", "mov eax, 231", "syscall");
