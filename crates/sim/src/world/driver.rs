//! What the daemon does around the engine: reads events, applies requests, sends, dumps, starts, dies.

use super::{Happening, Sabotage, World};
use crate::kernel::{Kernel, errno};
use crate::lan::Lan;
use mpath_core::input::BatchId;
use mpath_core::{Action, Engine, Input};
use mpath_model::kernel::{KernelOp, Listen, Neighbour, Transmit, ifa, nud};
use mpath_model::settings::LinkPoll;
use mpath_model::{Family, IfIndex};
use std::time::Duration;

/// Within this time the engine takes a batch of which it has not heard for lost.
const GIVEN_UP: Duration = Duration::from_millis(5100);

const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

impl World {
    /// Carries out what the engine asked for, in order; a doomed daemon dies somewhere in between.
    pub(super) fn carry_out(&mut self, actions: &mut Vec<Action>) {
        if let Some(sabotage) = self.sabotage {
            tamper(sabotage, &self.kernel, actions);
        }
        self.trace.actions(self.now, actions);
        let changes = actions.iter().any(|a| matches!(a, Action::Kernel { .. }));
        let death = self.daemon.doomed.filter(|_| changes);
        let last = death.map(|_| self.rng.index(actions.len()));
        let told = actions.iter().any(|a| !matches!(a, Action::Send(_) | Action::Prepare { .. }));
        self.count(actions);
        for (i, action) in actions.drain(..).enumerate() {
            if last.is_some_and(|last| i > last) {
                break;
            }
            let cut = last == Some(i);
            self.carry_out_one(action, cut);
        }
        if let Some(down) = death {
            self.die(down);
        } else if told {
            self.check_step();
        }
    }

    fn carry_out_one(&mut self, action: Action, cut: bool) {
        match action {
            Action::Send(what) => self.transmit(&what),
            Action::Kernel { batch, mut ops } => {
                if cut {
                    ops.truncate(self.rng.index(ops.len() + 1));
                }
                self.apply_batch(batch, &ops);
            }
            // The file is replaced as a whole, or not at all.
            Action::Persist(_) if cut && self.rng.chance(500) => {}
            Action::Persist(p) => self.daemon.persist = Some(p),
            Action::Resynchronise => {
                self.daemon.dumps += 1;
                let after = self.rng.duration(us(50), us(2000));
                self.plan(after, Happening::Dump(self.daemon.life));
            }
            Action::Listen(listen) => self.listen(listen),
            Action::Log(_) | Action::Prepare { .. } => {}
            Action::Emit(event) => self.stats.event(event.event),
            Action::Reply { id, result } => match self.daemon.requests.remove(&id) {
                None => self.violate("replies", format!("request {id} is not waiting for an answer")),
                Some(nic) => self.offline.extend(nic.filter(|_| result.is_ok())),
            },
        }
    }

    fn listen(&mut self, listen: Listen) {
        let new: Vec<IfIndex> =
            listen.carrier.iter().filter(|i| !self.daemon.listen.carrier.contains(i)).copied().collect();
        self.daemon.listen = listen;
        for index in new {
            self.poll_soon(index);
        }
    }

    /// Polling finds a carrier change within a period; nothing happens between changes, so one poll stands
    /// for all.
    pub(super) fn poll_soon(&mut self, index: IfIndex) {
        let period = match self.scenario.settings.daemon.link_poll {
            LinkPoll::Auto => Duration::from_millis(100),
            LinkPoll::Every(period) => period,
            LinkPoll::Off => return,
        };
        if self.daemon.listen.carrier.contains(&index) {
            let after = self.rng.duration(us(10), period);
            self.plan(after, Happening::Poll(index));
        }
    }

    fn apply_batch(&mut self, batch: BatchId, ops: &[KernelOp]) {
        const REFUSALS: [i32; 4] = [errno::ENOBUFS, errno::EBUSY, errno::EPERM, errno::ENOMEM];
        let mut errors = Vec::with_capacity(ops.len());
        for op in ops {
            let errno = if self.rng.chance(self.hostile.refuse) {
                self.stats.refused += 1;
                *self.rng.pick(&REFUSALS)
            } else {
                let errno = self.kernel.apply(op);
                if errno == 0 {
                    self.answer_solicitation(op);
                    if let KernelOp::Announce { index, address, .. } = op {
                        self.announce(*index, *address);
                    }
                }
                errno
            };
            errors.push(errno);
        }
        self.stats.requests += ops.len() as u64;
        self.trace.errors(self.now, batch, &errors);
        self.check_presence(ops);
        self.sync_ports();
        self.collect_events();
        // What changes nothing that the engine keeps a picture of is never waited for.
        let minor = |op: &KernelOp| matches!(op, KernelOp::Announce { .. } | KernelOp::DelNeighbour { .. });
        if !ops.iter().all(minor) {
            self.daemon.batches.insert(batch);
        }
        if self.rng.chance(self.hostile.mute) {
            return self.plan(GIVEN_UP, Happening::GivenUp(self.daemon.life, batch));
        }
        let slow = if self.rng.chance(self.hostile.late) { us(200_000) } else { us(2000) };
        let after = self.rng.duration(us(20), slow);
        self.plan(after, Happening::Done(self.daemon.life, batch, errors));
    }

    fn answer_solicitation(&mut self, op: &KernelOp) {
        let KernelOp::Solicit { index, target, .. } = op else {
            return;
        };
        let Some(nic) = self.nic_at(*index).filter(|n| self.lan.connected(*n)) else {
            return;
        };
        let node = self.lan.segments[self.lan.ports[nic].segment].iter().find(|n| match target {
            std::net::IpAddr::V4(a) => n.four == Some(*a),
            std::net::IpAddr::V6(a) => n.six.contains(a),
        });
        if let Some(mac) = node.filter(|n| n.alive).map(|n| n.mac) {
            let (index, address) = (*index, *target);
            self.kernel.learn(Neighbour {
                index,
                address,
                mac: Some(mac),
                state: nud::REACHABLE,
                router: target.is_ipv6(),
            });
        }
    }

    pub(crate) fn nic_at(&self, index: IfIndex) -> Option<usize> {
        self.index.iter().position(|i| *i == Some(index))
    }

    pub(super) fn finish_batch(&mut self, batch: BatchId, errors: Vec<i32>) {
        let life = self.daemon.life;
        self.read_events();
        if self.daemon.overflow {
            self.dump();
        }
        if self.daemon.life != life {
            return;
        }
        self.daemon.batches.remove(&batch);
        self.feed(Input::Done { batch, errors });
        self.check_step();
    }

    fn transmit(&mut self, what: &Transmit) {
        self.stats.sent += 1;
        let index = Lan::interface(what);
        let errno = match self.kernel.link(index) {
            None => errno::ENODEV,
            Some(link) if !link.up => errno::ENETDOWN,
            Some(_) => match what {
                Transmit::Echo { source, .. } => {
                    let usable =
                        |a: &mpath_model::Address| a.addr.address == *source && !a.has(ifa::TENTATIVE);
                    if self.kernel.on(index).any(usable) { 0 } else { errno::EADDRNOTAVAIL }
                }
                Transmit::Frame { .. } | Transmit::Advert(_) => 0,
            },
        };
        if errno != 0 {
            let (seq, family) = match what {
                Transmit::Echo { seq, target, .. } => (Some(*seq), Family::of(target)),
                Transmit::Frame { .. } => (None, Family::Inet),
                Transmit::Advert(advert) => (None, Family::of(&advert.source)),
            };
            self.plan(us(1), Happening::SendFailed(self.daemon.life, index, seq, family, errno));
            return;
        }
        let Some(nic) = self.nic_at(index) else { return };
        for a in self.lan.transmit(nic, what, &mut self.rng) {
            self.plan(a.after, Happening::Arrive(a.nic, a.packet));
        }
    }

    /// Events the kernel has produced go into the daemon's socket, unless they are lost.
    pub(crate) fn collect_events(&mut self) {
        for (index, address) in self.kernel.take_dad() {
            let after = self.rng.duration(us(1_000_000), us(1_800_000));
            self.plan(after, Happening::Dad(index, address));
        }
        if !self.kernel.has_events() {
            return;
        }
        let events = self.kernel.take_events();
        if self.daemon.engine.is_none() {
            return;
        }
        for event in events {
            if self.rng.chance(self.hostile.lose) {
                self.stats.lost += 1;
                if !self.daemon.overflow {
                    self.daemon.overflow = true;
                    let after = self.rng.duration(us(10), us(5000));
                    self.plan(after, Happening::Dump(self.daemon.life));
                }
                continue;
            }
            if self.rng.chance(self.hostile.twice) {
                self.daemon.socket.push_back(event.clone());
            }
            self.daemon.socket.push_back(event);
        }
        if !self.daemon.reading {
            self.daemon.reading = true;
            let slow = if self.rng.chance(self.hostile.late) { us(200_000) } else { us(300) };
            let after = self.rng.duration(us(10), slow);
            self.plan(after, Happening::Events);
        }
    }

    pub(super) fn read_events(&mut self) {
        self.daemon.reading = false;
        while !self.daemon.socket.is_empty() {
            // One reading of the socket brings several events, but not always all.
            let most = if self.rng.chance(300) { 1 } else { 64 };
            let count = self.daemon.socket.len().min(most);
            let events = self.daemon.socket.drain(..count).collect();
            self.feed(Input::Kernel(events));
        }
    }

    /// A dump, behind the events that were in the socket before it.
    pub(super) fn dump(&mut self) {
        self.read_events();
        let asked = std::mem::take(&mut self.daemon.dumps);
        if asked == 0 && !self.daemon.overflow {
            return;
        }
        self.daemon.overflow = false;
        self.stats.dumps += 1;
        let inventory = self.kernel.inventory();
        self.feed(Input::Inventory(inventory));
    }

    pub(super) fn start(&mut self) {
        if self.daemon.engine.is_some() {
            return;
        }
        self.disturbed = self.now;
        self.daemon.life += 1;
        self.daemon.engine = Some(Engine::new(self.rng.next(), "0.0.0-sim"));
        self.trace.note(self.now, format_args!("daemon starts"));
        self.tear_journal();
        self.feed(Input::Configure(self.file.clone()));
        if let Some(p) = self.daemon.persist.clone() {
            self.feed(Input::Restore(p));
        }
        if self.daemon.engine.is_some() {
            let inventory = self.kernel.inventory();
            self.feed(Input::Inventory(inventory));
        }
    }

    /// What cannot be understood is set aside, as the daemon does it.
    fn tear_journal(&mut self) {
        let Some(millionths) = self.daemon.torn.take() else { return };
        let Some(journal) = &self.daemon.persist else { return };
        let Ok(mut bytes) = serde_json::to_vec(journal) else { return };
        bytes.truncate(bytes.len() * millionths as usize / 1_000_000);
        self.daemon.persist = serde_json::from_slice(&bytes).ok();
        self.forgetful |= self.daemon.persist.is_none();
        self.trace.note(self.now, format_args!("journal cut after {} bytes", bytes.len()));
    }

    pub(super) fn die(&mut self, down: Duration) {
        self.trace.note(self.now, format_args!("daemon dies, back in {down:?}"));
        self.stats.restarts += 1;
        self.disturbed = self.now;
        self.duties.clear();
        let d = &mut self.daemon;
        d.engine = None;
        d.life += 1;
        d.doomed = None;
        d.listen = Listen::default();
        d.socket.clear();
        d.reading = false;
        d.overflow = false;
        d.dumps = 0;
        d.batches.clear();
        d.backlog.clear();
        d.starved_until = self.now;
        d.requests.clear();
        self.plan(down, Happening::Start);
    }

    /// The engine goes through its written form, as over SIGUSR2; what was in the sockets is lost.
    pub(super) fn reexec(&mut self) {
        let Some(engine) = &self.daemon.engine else { return };
        if self.starving() || !self.daemon.batches.is_empty() || !engine.at_rest(self.now) {
            return self.plan(us(1000), Happening::Reexec(self.daemon.life));
        }
        self.trace.note(self.now, format_args!("daemon runs itself again"));
        let taken_over = serde_json::to_vec(engine).and_then(|written| {
            let read: Engine = serde_json::from_slice(&written)?;
            Ok((serde_json::to_vec(&read)? == written, read))
        });
        let engine = match taken_over {
            Ok((true, engine)) => engine.resumed("0.0.0-sim"),
            Ok((false, _)) => {
                return self.violate("handover", "what is read is not what was written".to_owned());
            }
            Err(e) => return self.violate("handover", e.to_string()),
        };
        let settings = engine.settings().clone();
        let d = &mut self.daemon;
        d.engine = Some(engine);
        d.life += 1;
        d.listen = Listen::default();
        d.socket.clear();
        d.overflow = false;
        d.dumps = 0;
        d.requests.clear();
        self.feed(Input::Configure(settings));
        let inventory = self.kernel.inventory();
        self.feed(Input::Inventory(inventory));
    }

    /// What has piled up while the daemon had no processor is handled first, the kernel's events before all else, then the
    /// timers.
    pub(super) fn awake(&mut self) {
        if self.starving() {
            return;
        }
        // To it, all that happened in the meantime happens now.
        self.disturbed = self.now;
        let mut waiting: Vec<Input> = self.daemon.backlog.drain(..).collect();
        // SIGHUP is no queue, and the file is read when it is handled.
        let mut read = false;
        waiting.retain_mut(|input| match input {
            Input::Configure(settings) => {
                settings.clone_from(&self.file);
                !std::mem::replace(&mut read, true)
            }
            _ => true,
        });
        waiting.sort_by_key(|i| !matches!(i, Input::Kernel(_)));
        self.daemon.backlog = waiting.into();
        while let Some(input) = self.daemon.backlog.pop_front() {
            self.feed(input);
        }
    }
}

/// What a defective daemon makes of the engine's wishes.
fn tamper(sabotage: Sabotage, kernel: &Kernel, actions: &mut Vec<Action>) {
    let deletes = |o: &KernelOp| matches!(o, KernelOp::DelAddress { .. });
    let routes = |o: &KernelOp| matches!(o, KernelOp::AddRoute(..));
    let harmless = KernelOp::FlushNeighbours(1);
    for action in actions.iter_mut() {
        let Action::Kernel { ops, .. } = action else { continue };
        match sabotage {
            Sabotage::KeepsOld => {
                ops.iter_mut().filter(|o| deletes(o)).for_each(|o| *o = harmless.clone());
            }
            Sabotage::IgnoresRoutes => {
                ops.iter_mut().filter(|o| routes(o)).for_each(|o| *o = harmless.clone());
            }
            Sabotage::BreaksFirst => {
                for op in ops.iter_mut() {
                    let KernelOp::AddAddress(a) = op else { continue };
                    let old = kernel.addresses().iter().find(|o| o.addr == a.addr && o.index != a.index);
                    if let Some(old) = old {
                        *op = KernelOp::DelAddress { index: old.index, addr: old.addr };
                    }
                }
            }
            _ => {}
        }
    }
    match sabotage {
        Sabotage::Floods => {
            let sends: Vec<Action> =
                actions.iter().filter(|a| matches!(a, Action::Send(_))).cloned().collect();
            (0..100).for_each(|_| actions.extend(sends.iter().cloned()));
        }
        Sabotage::Forgets => actions.retain(|a| !matches!(a, Action::Persist(_))),
        _ => {}
    }
}
