//! The messages: calls and replies of `org.mpathd` and `org.varlink.service`, to and from JSON. Errors are
//! in [`crate::failure`].

use crate::failure::Failure;
use mpath_model::explain::{Explanation, Plan};
use mpath_model::{Event, Status};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The whole picture.
    Status,
    /// Events as they happen; needs `more`.
    Watch,
    /// Takes a NIC out of service.
    Offline {
        /// Its name.
        interface: String,
    },
    /// Puts a NIC back into service.
    Online {
        /// Its name.
        interface: String,
    },
    /// Adds to the CARP demotion counter.
    Demote {
        /// How much; may be negative.
        by: i32,
    },
    /// Reads the configuration again.
    Reload {
        /// Also if that loses changes that no file holds.
        discard: bool,
    },
    /// The configuration in force.
    Configuration,
    /// Puts a configuration in force.
    Configure(Box<Change>),
    /// The configuration on trial stays.
    Confirm,
    /// Writes the configuration in force into the file.
    Save,
    /// The evidence behind verdicts.
    Explain {
        /// Of this NIC; none: of all.
        interface: Option<String>,
    },
    /// What losing a NIC would do.
    PlanFailure {
        /// Its name.
        interface: String,
    },
    /// What a configuration would do.
    PlanConfiguration {
        /// Its text.
        text: String,
        /// How errors call it.
        name: String,
    },
    /// Moves nothing on verdicts of probes.
    Freeze {
        /// For so long, ms; none: until thawed.
        for_ms: Option<u64>,
    },
    /// Ends [`Request::Freeze`].
    Thaw,
    /// Takes back what mpathd installed.
    Release {
        /// On this NIC, group or lagg; none: everywhere.
        target: Option<String>,
    },
    /// Logs the probe statistics.
    Statistics,
    /// `org.varlink.service.GetInfo`
    GetInfo,
    /// `org.varlink.service.GetInterfaceDescription`
    GetInterfaceDescription {
        /// Name of the varlink interface.
        interface: String,
    },
}

/// A configuration to be put in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its text.
    pub text: String,
    /// How errors call it.
    pub name: String,
    /// Only if this is the serial number of the configuration in force.
    pub base: Option<u64>,
    /// Passphrases that the text refers to by the directory that [`RunningConfiguration`] names.
    pub keys: Vec<Key>,
    /// Returns to the configuration before after this time, ms, unless confirmed.
    pub trial_ms: Option<u64>,
}

/// A passphrase on its way to the daemon.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Plain file name.
    pub name: String,
    /// The passphrase.
    pub passphrase: String,
}

impl std::fmt::Debug for Key {
    /// Does not show the passphrase.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningConfiguration {
    /// As a `mpathd.toml` that depends on no other file.
    pub text: String,
    /// Rises with each change.
    pub serial: u64,
    /// Directory for passphrases that come with changes.
    pub keys: String,
    /// No file holds it.
    pub unsaved: bool,
}

/// A request with varlink's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// The client takes more than one reply.
    pub more: bool,
    /// The client wants no reply.
    pub oneway: bool,
}

impl Request {
    /// Full name of the method.
    pub fn method(&self) -> &'static str {
        match self {
            Request::Status => "org.mpathd.Status",
            Request::Watch => "org.mpathd.Watch",
            Request::Offline { .. } => "org.mpathd.Offline",
            Request::Online { .. } => "org.mpathd.Online",
            Request::Demote { .. } => "org.mpathd.Demote",
            Request::Reload { .. } => "org.mpathd.Reload",
            Request::Configuration => "org.mpathd.Configuration",
            Request::Configure(_) => "org.mpathd.Configure",
            Request::Confirm => "org.mpathd.Confirm",
            Request::Save => "org.mpathd.Save",
            Request::Explain { .. } => "org.mpathd.Explain",
            Request::PlanFailure { .. } => "org.mpathd.PlanFailure",
            Request::PlanConfiguration { .. } => "org.mpathd.PlanConfiguration",
            Request::Freeze { .. } => "org.mpathd.Freeze",
            Request::Thaw => "org.mpathd.Thaw",
            Request::Release { .. } => "org.mpathd.Release",
            Request::Statistics => "org.mpathd.Statistics",
            Request::GetInfo => "org.varlink.service.GetInfo",
            Request::GetInterfaceDescription { .. } => "org.varlink.service.GetInterfaceDescription",
        }
    }

    /// Whether it changes something, so that the right to read is not enough.
    pub fn changes(&self) -> bool {
        match self {
            Request::Offline { .. }
            | Request::Online { .. }
            | Request::Demote { .. }
            | Request::Reload { .. }
            | Request::Configure(_)
            | Request::Confirm
            | Request::Save
            | Request::Statistics
            | Request::Freeze { .. }
            | Request::Release { .. }
            | Request::Thaw => true,
            Request::Status
            | Request::Watch
            | Request::Explain { .. }
            | Request::Configuration
            | Request::PlanFailure { .. }
            | Request::PlanConfiguration { .. }
            | Request::GetInfo
            | Request::GetInterfaceDescription { .. } => false,
        }
    }

    fn parameters(&self) -> Value {
        match self {
            Request::Offline { interface }
            | Request::Online { interface }
            | Request::PlanFailure { interface }
            | Request::GetInterfaceDescription { interface } => json!({ "interface": interface }),
            Request::Release { target } => json!({ "target": target }),
            Request::Explain { interface } => json!({ "interface": interface }),
            Request::PlanConfiguration { text, name } => json!({ "text": text, "name": name }),
            Request::Reload { discard } => json!({ "discard": discard }),
            Request::Configure(change) => json!(change),
            Request::Freeze { for_ms } => json!({ "for_ms": for_ms }),
            Request::Demote { by } => json!({ "by": by }),
            _ => json!({}),
        }
    }
}

/// A call as varlink writes it.
#[derive(Serialize, Deserialize)]
struct RawCall {
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oneway: Option<bool>,
}

/// Why bytes are not a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadCall {
    /// Not varlink at all: the connection is of no use.
    Malformed(String),
    /// A call that this service does not understand: answer with this and go on.
    Answer(Failure),
}

impl Call {
    /// A plain call with one reply.
    pub fn new(request: Request) -> Call {
        Call { request, more: false, oneway: false }
    }

    /// On the wire, terminator included.
    pub fn encode(&self) -> Vec<u8> {
        crate::codec::encode(&RawCall {
            method: self.request.method().to_owned(),
            parameters: Some(self.request.parameters()),
            more: self.more.then_some(true),
            oneway: self.oneway.then_some(true),
        })
    }

    /// From one message without its terminator.
    pub fn decode(bytes: &[u8]) -> Result<Call, BadCall> {
        let raw: RawCall = serde_json::from_slice(bytes).map_err(|e| BadCall::Malformed(e.to_string()))?;
        let parameters = match raw.parameters {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(BadCall::Malformed("'parameters' is not an object".to_owned())),
        };
        let request = request(&raw.method, parameters).map_err(BadCall::Answer)?;
        Ok(Call { request, more: raw.more.unwrap_or(false), oneway: raw.oneway.unwrap_or(false) })
    }
}

fn request(method: &str, parameters: Map<String, Value>) -> Result<Request, Failure> {
    let mut p = Parameters(parameters);
    let request = match method {
        "org.mpathd.Status" => Request::Status,
        "org.mpathd.Watch" => Request::Watch,
        "org.mpathd.Offline" => Request::Offline { interface: p.take("interface")? },
        "org.mpathd.Online" => Request::Online { interface: p.take("interface")? },
        "org.mpathd.Demote" => Request::Demote { by: p.take("by")? },
        "org.mpathd.Reload" => {
            Request::Reload { discard: p.take::<Option<bool>>("discard")?.unwrap_or_default() }
        }
        "org.mpathd.Configuration" => Request::Configuration,
        "org.mpathd.Configure" => Request::Configure(Box::new(Change {
            text: p.take("text")?,
            name: p.take("name")?,
            base: p.take("base")?,
            keys: p.take::<Option<Vec<Key>>>("keys")?.unwrap_or_default(),
            trial_ms: p.take("trial_ms")?,
        })),
        "org.mpathd.Confirm" => Request::Confirm,
        "org.mpathd.Save" => Request::Save,
        "org.mpathd.Explain" => Request::Explain { interface: p.take("interface")? },
        "org.mpathd.PlanFailure" => Request::PlanFailure { interface: p.take("interface")? },
        "org.mpathd.PlanConfiguration" => {
            Request::PlanConfiguration { text: p.take("text")?, name: p.take("name")? }
        }
        "org.mpathd.Freeze" => Request::Freeze { for_ms: p.take("for_ms")? },
        "org.mpathd.Thaw" => Request::Thaw,
        "org.mpathd.Release" => Request::Release { target: p.take("target")? },
        "org.mpathd.Statistics" => Request::Statistics,
        "org.varlink.service.GetInfo" => Request::GetInfo,
        "org.varlink.service.GetInterfaceDescription" => {
            Request::GetInterfaceDescription { interface: p.take("interface")? }
        }
        _ => return Err(unknown_method(method)),
    };
    match p.0.keys().next() {
        Some(extra) => Err(Failure::InvalidParameter { parameter: extra.clone() }),
        None => Ok(request),
    }
}

/// The parameters of a call, taken out one by one: what is left at the end was not known.
struct Parameters(Map<String, Value>);

impl Parameters {
    /// The parameter of this name; one that is missing is null, which is good for an optional one alone.
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Failure> {
        let value = self.0.remove(name).unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|_| Failure::InvalidParameter { parameter: name.to_owned() })
    }
}

fn unknown_method(method: &str) -> Failure {
    match method.rsplit_once('.') {
        Some((interface, _)) if interface != crate::INTERFACE && interface != "org.varlink.service" => {
            Failure::InterfaceNotFound { interface: interface.to_owned() }
        }
        _ => Failure::MethodNotFound { method: method.to_owned() },
    }
}

/// A successful answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done; nothing to say.
    Done,
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Explain`].
    Explanations(Vec<Explanation>),
    /// To [`Request::PlanFailure`] and [`Request::PlanConfiguration`].
    Plan(Box<Plan>),
    /// To [`Request::Configuration`].
    Configuration(Box<RunningConfiguration>),
    /// To [`Request::Watch`]; more follow.
    Event(TimedEvent),
    /// To [`Request::GetInfo`].
    Info(ServiceInfo),
    /// To [`Request::GetInterfaceDescription`].
    Description(String),
}

impl Reply {
    /// On the wire, terminator included.
    pub fn encode(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Status<'a> {
            status: &'a mpath_model::Status,
        }
        #[derive(Serialize)]
        struct Event<'a> {
            event: &'a TimedEvent,
        }
        match self {
            Reply::Done => encode_reply(&json!({}), false),
            Reply::Status(status) => encode_reply(&Status { status }, false),
            Reply::Explanations(list) => encode_reply(&json!({ "explanations": list }), false),
            Reply::Plan(plan) => encode_reply(&json!({ "plan": plan }), false),
            Reply::Configuration(c) => encode_reply(&json!({ "configuration": c }), false),
            Reply::Event(event) => encode_reply(&Event { event }, true),
            Reply::Info(info) => encode_reply(info, false),
            Reply::Description(text) => encode_reply(&json!({ "description": text }), false),
        }
    }
}

fn encode_reply<T: Serialize>(parameters: &T, continues: bool) -> Vec<u8> {
    #[derive(Serialize)]
    struct Raw<'a, T> {
        parameters: &'a T,
        #[serde(skip_serializing_if = "Option::is_none")]
        continues: Option<bool>,
    }
    crate::codec::encode(&Raw { parameters, continues: continues.then_some(true) })
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// Maker.
    pub vendor: String,
    /// `mpathd`.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Where to read more.
    pub url: String,
    /// Varlink interfaces it has.
    pub interfaces: Vec<String>,
}

impl ServiceInfo {
    /// What mpathd of this version says of itself.
    pub fn mpathd(version: &str) -> ServiceInfo {
        ServiceInfo {
            vendor: "mpathd".to_owned(),
            product: "mpathd".to_owned(),
            version: version.to_owned(),
            url: "https://varlink.org/".to_owned(),
            interfaces: vec!["org.varlink.service".to_owned(), crate::INTERFACE.to_owned()],
        }
    }
}

/// An event with the wall-clock time at which it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedEvent {
    /// RFC 3339.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// An answer as it came, its parameters still JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyMessage {
    /// Parameters, or why there are none.
    pub result: Result<Value, Failure>,
    /// More answers to the same call follow.
    pub continues: bool,
}

impl ReplyMessage {
    /// From one message without its terminator.
    pub fn decode(bytes: &[u8]) -> Result<ReplyMessage, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            parameters: Option<Value>,
            continues: Option<bool>,
            error: Option<String>,
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let parameters = raw.parameters.unwrap_or_else(|| json!({}));
        if !parameters.is_object() {
            return Err("'parameters' is not an object".to_owned());
        }
        let result = match raw.error {
            Some(error) => Err(Failure::from_wire(error, parameters)),
            None => Ok(parameters),
        };
        Ok(ReplyMessage { result, continues: raw.continues.unwrap_or(false) })
    }
}

/// The value under `key` of a reply's parameters.
pub(crate) fn field<T: DeserializeOwned>(mut parameters: Value, key: &str) -> Result<T, String> {
    let value = parameters.get_mut(key).map(Value::take).ok_or_else(|| format!("reply without '{key}'"))?;
    serde_json::from_value(value).map_err(|e| format!("reply with a bad '{key}': {e}"))
}

#[cfg(test)]
mod tests;
