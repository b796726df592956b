//! Faults that a test has scheduled and that have not happened yet.

/// Each entry has the operation, the number of times that the fault still happens, and the fault.
/// The oldest entry comes first.
pub(super) struct FaultQueue<F>(Vec<(String, usize, F)>);

impl<F: Clone> FaultQueue<F> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn push(&mut self, operations: &[&str], operation: &str, times: usize, fault: F) {
        assert!(operations.contains(&operation), "{operation} is none of {operations:?}");
        self.0.push((operation.to_owned(), times, fault));
    }

    /// Returns the first fault that `applies` to this call of `operation`.
    pub(super) fn next(&mut self, operation: &str, applies: impl Fn(&F) -> bool) -> Option<F> {
        self.0.retain(|(_, times, _)| *times > 0);
        let mut faults = self.0.iter_mut();
        let (_, times, fault) = faults.find(|(of, _, fault)| of == operation && applies(fault))?;
        *times -= 1;
        Some(fault.clone())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
