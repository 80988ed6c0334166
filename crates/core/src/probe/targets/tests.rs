use super::*;

fn ip(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn routers(n: u8) -> Targets {
    let mut t = Targets::default();
    t.set_routers(&(1..=n).map(ip).collect::<Vec<_>>());
    t
}

fn fire(t: &mut Targets, now: Time) -> IpAddr {
    let a = t.pick(now).unwrap();
    t.moved_on(&a);
    a
}

#[test]
fn at_most_five_are_active_and_all_take_turns() {
    for n in [1u8, 3, 5, 6, 20] {
        let mut t = routers(n);
        assert_eq!(t.active().count(), usize::from(n.min(5)));
        let mut asked: Vec<_> = (0..10).map(|_| fire(&mut t, Time(0))).collect();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), usize::from(n.min(5)), "{n} routers");
    }
}

#[test]
fn a_dead_router_makes_room_and_comes_back_after_a_minute() {
    let mut t = routers(6);
    let dead = fire(&mut t, Time(0));
    assert!(!t.set_aside(&dead, Standing::Dead(Time(0))));
    let mut seen: Vec<_> = (0..12).map(|_| fire(&mut t, Time(1))).collect();
    seen.sort();
    seen.dedup();
    assert!(!seen.contains(&dead));
    assert_eq!(t.active().count(), 5, "the unused one took its place");
    let mut t = routers(2);
    let dead = fire(&mut t, Time(0));
    t.set_aside(&dead, Standing::Dead(Time(0)));
    let late = |s: u64| Time(0) + Duration::from_secs(s);
    for s in 1..60 {
        assert_ne!(fire(&mut t, late(s)), dead);
    }
    let back = (61..200).find(|s| fire(&mut t, late(*s)) == dead).expect("retried");
    assert!((61..=125).contains(&back), "after {back} s");
}

#[test]
fn the_last_router_is_kept_by_refill() {
    let mut t = routers(1);
    t.set_aside(&ip(1), Standing::Dead(Time(0)));
    assert_eq!(t.pick(Time(1)), Some(ip(1)));
}

#[test]
fn routers_displace_hosts_and_hosts_come_back_when_routers_go() {
    let mut t = Targets::default();
    assert!(t.offer_host(ip(7)) && t.offer_host(ip(8)) && !t.offer_host(ip(8)));
    assert!(!t.are_routers());
    let gone = t.set_routers(&[ip(1)]);
    assert_eq!(gone.len(), 2);
    assert!(t.are_routers() && !t.offer_host(ip(9)));
    assert_eq!(t.set_routers(&[]), vec![ip(1)]);
    assert!(t.is_empty() && !t.are_routers() && t.pick(Time(0)).is_none());
    assert!(t.offer_host(ip(9)));
}

#[test]
fn the_sixth_host_is_refused_and_a_dead_host_is_deleted() {
    let mut t = Targets::default();
    (1..=5).for_each(|n| assert!(t.offer_host(ip(n))));
    assert!(!t.offer_host(ip(6)));
    assert!(t.set_aside(&ip(3), Standing::Dead(Time(0))));
    assert!(t.offer_host(ip(6)));
    assert!(t.set_routers(&[]).is_empty(), "no routers: hosts stay");
    assert_eq!(t.flush_hosts().len(), 5);
}
