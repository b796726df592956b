//! What happens next: a radix heap, for time only goes forward. It moves events through a few flat
//! lists, where a binary heap of a million devices would miss the cache at every level.

pub(crate) struct Queue {
    now: u64,
    /// List `n` holds what differs from `now` in bit `n - 1` at the highest; the first what is now.
    lists: [Vec<(u64, u32)>; 65],
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { now: 0, lists: std::array::from_fn(|_| Vec::new()) }
    }

    /// Plans an event of a device, at a time not before the last that was taken.
    pub(crate) fn push(&mut self, at: u64, device: u32) {
        assert!(at >= self.now, "an event in the past");
        let list = 64 - (at ^ self.now).leading_zeros();
        self.lists[list as usize].push((at, device));
    }

    /// Takes the earliest event.
    pub(crate) fn pop(&mut self) -> Option<(u64, u32)> {
        if self.lists[0].is_empty() {
            let first = self.lists.iter().position(|list| !list.is_empty())?;
            let events = std::mem::take(&mut self.lists[first]);
            self.now = events.iter().map(|event| event.0).min()?;
            for &(at, device) in &events {
                self.push(at, device);
            }
            // Its memory serves again.
            self.lists[first] = events;
            self.lists[first].clear();
        }
        self.lists[0].pop()
    }
}
