//! Figures of the kernel about a program at its end. All measured programs contain this file, so it
//! adds the same to each.

use std::time::Duration;
use std::{fs, io, thread};

/// Waits up to one second until the threads of name look-ups end. Returns how many are left.
pub fn threads_left() -> io::Result<usize> {
    let mut left = 0;
    for _ in 0..200 {
        left = fs::read_dir("/proc/self/task")?.count() - 1;
        if left == 0 {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(left)
}

/// Prints the peak of resident memory and the number of other threads. Prints nothing without
/// `/proc`.
pub fn report() -> io::Result<()> {
    if !fs::exists("/proc/self")? {
        return Ok(());
    }
    let left = threads_left()?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?");
    println!("peak {}", peak.trim().trim_end_matches(" kB"));
    println!("threads {left}");
    Ok(())
}
