//! What a request for a lagg is about, for messages.

use mpath_model::IfIndex;
use mpath_model::kernel::LaggOp;

/// `joining eth1 to lagg0`.
pub fn describe(op: &LaggOp, name: &dyn Fn(IfIndex) -> String) -> String {
    match op {
        LaggOp::Create { name, backend, .. } => format!("creating {name} by way of {backend}"),
        LaggOp::Destroy { name, .. } => format!("destroying {name}"),
        LaggOp::Attach { lagg, port, .. } => format!("joining {} to {}", name(*port), name(*lagg)),
        LaggOp::Detach { port, .. } => format!("releasing {}", name(*port)),
        LaggOp::Steer { name: lagg, steering, .. } => match steering.active {
            Some(port) => format!("switching {lagg} to {}", name(port)),
            None => format!("closing {lagg}"),
        },
        LaggOp::SetMac { index, mac } => format!("setting the hardware address of {} to {mac}", name(*index)),
        LaggOp::SetMtu { index, mtu } => format!("setting the MTU of {} to {mtu}", name(*index)),
        LaggOp::SetPromisc { index, on: true } => format!("setting {} promiscuous", name(*index)),
        LaggOp::SetPromisc { index, on: false } => format!("ending the promiscuity of {}", name(*index)),
        LaggOp::SetUp { index, up: true } => format!("setting {} up", name(*index)),
        LaggOp::SetUp { index, up: false } => format!("setting {} down", name(*index)),
    }
}
