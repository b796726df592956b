//! The events in the order of their times, as a radix heap. This is possible because time only goes
//! forward. It moves events through a few flat lists. A binary heap of a million devices would
//! cause a cache miss at every level.

pub(crate) struct Queue {
    now: u64,
    /// List 0 has the events at `now`. List `n` has the events whose highest bit that differs from
    /// `now` is bit `n - 1`.
    lists: [Vec<(u64, u32)>; 65],
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { now: 0, lists: std::array::from_fn(|_| Vec::new()) }
    }

    /// Adds an event of a device. Its time must not be earlier than the last event that was
    /// removed.
    pub(crate) fn push(&mut self, at: u64, device: u32) {
        assert!(at >= self.now, "an event in the past");
        let list = 64 - (at ^ self.now).leading_zeros();
        self.lists[list as usize].push((at, device));
    }

    /// Removes and returns the earliest event.
    pub(crate) fn pop(&mut self) -> Option<(u64, u32)> {
        if self.lists[0].is_empty() {
            let first = self.lists.iter().position(|list| !list.is_empty())?;
            let events = std::mem::take(&mut self.lists[first]);
            self.now = events.iter().map(|event| event.0).min()?;
            for &(at, device) in &events {
                self.push(at, device);
            }
            // Reuse the memory of the list.
            self.lists[first] = events;
            self.lists[first].clear();
        }
        self.lists[0].pop()
    }
}
