//! Addresses of a broker and of the web page, and the other values of options that are parsed by hand.

use boxcam::address::{
    BrokerAddress, FrameAncestors, WebAddress, WebHosts, redacted, redacted_broker,
};
use boxcam::options::{DisplayChoice, FrameSize, LogChoice, SourceChoice, Threshold};

use crate::Bounds;

pub fn run(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    Bounds::TEXT.check(|| {
        if let Ok(broker) = text.parse::<BrokerAddress>() {
            assert!(!broker.host.is_empty());
            // Nothing of a login may get into a log.
            let shown = format!("{broker:?}");
            let without_login = BrokerAddress {
                login: None,
                ..broker
            };
            assert_eq!(shown, format!("{without_login:?}"));
        }
        let _ = (redacted(text), redacted_broker(text));
        let _ = text.parse::<WebAddress>();
        let _ = text.parse::<WebHosts>();
        if let Ok(ancestors) = text.parse::<FrameAncestors>() {
            // It must not become another directive or header.
            let directive = ancestors.directive();
            assert!(directive.is_ascii() && !directive.contains([';', ',', '\r', '\n', '\0']));
        }
        let _ = text.parse::<SourceChoice>();
        let _ = text.parse::<DisplayChoice>();
        let _ = text.parse::<FrameSize>();
        let _ = text.parse::<LogChoice>();
        let _ = text.parse::<Threshold>();
    });
}
