//! The outputs of a run that others reach over the network: MQTT, and the web page with its REST interface.

#[path = "../broker/mod.rs"]
mod broker;
#[path = "../browser/mod.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;
#[path = "../http/mod.rs"]
mod http;
#[path = "../reverse_proxy/mod.rs"]
mod reverse_proxy;

mod home_assistant;
mod mqtt;
mod web;
mod web_browser;
mod web_login;
