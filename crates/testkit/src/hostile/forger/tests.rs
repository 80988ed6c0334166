use super::*;

fn forger() -> Forger {
    let aim = Aim {
        mac: Mac([2, 0, 0, 0, 1, 0]),
        address: Ipv4Addr::new(192, 0, 2, 11),
        local: Mac([2, 0, 0, 0, 1, 0]).link_local(),
    };
    let vhid = Vhid { vhid: 7, passphrase: Passphrase::new("right"), addresses: vec![data4().into()] };
    let own = Mac([2, 0, 0, 0, 2, 66]);
    let mut first = Forger::new(own, vec![aim.clone()], None, Vec::new(), 1);
    let overheard = (0..20).map(|_| first.echo()).collect();
    Forger::new(own, vec![aim], Some(vhid), overheard, 7)
}

#[test]
fn every_frame_comes_from_the_attacker_and_fits_the_link() {
    let mut forger = forger();
    assert!(!forger.known.is_empty());
    for kind in Hostile::ALL {
        for _ in 0..5000 {
            let frame = forger.frame(kind);
            assert!((LINK..1514).contains(&frame.len()), "{kind:?}: {frame:?}");
            assert_eq!(frame[6..12], forger.own.0, "{kind:?}");
        }
    }
}

#[test]
fn no_advert_is_right_in_everything() {
    let mut forger = forger();
    let right = forger.vhid.clone().unwrap().1[0].clone();
    let mut wrong_digest = 0;
    for _ in 0..5000 {
        let frame = forger.advert();
        let (ip, payload) = ipv4::parse(&frame[LINK..]).unwrap();
        let Ok(pdu) = carp::parse(payload) else { continue };
        let authentic = right.verify(pdu.advert.counter, &pdu.md);
        wrong_digest += u32::from(!authentic);
        assert!(!(authentic && ip.ttl == carp::HOPS && pdu.version == carp::VERSION && pdu.advert.vhid == 7));
    }
    assert!(wrong_digest > 500, "{wrong_digest}");
}
