//! The password of the web page, and the REST interface behind it.
#![cfg(all(unix, feature = "web", feature = "demo"))]

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use crate::common::proved_model::{hash_of, proved};
use crate::common::reports::wait_until;
use crate::common::running::Running;
use crate::common::{TestDir, tiny_model};
use crate::http::{Response, get, send, send_body};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost::Message;
use serde_json::Value;

const PASSWORD: &str = "open sesame: \u{e4}";

const DEMO: [&str; 7] = [
    "run",
    "--source",
    "demo",
    "--display",
    "none",
    "--log",
    "out.jsonl",
];

/// The header of a request with a password.
fn login(password: &str) -> String {
    let login = BASE64_STANDARD.encode(format!("anyone:{password}"));
    format!("Authorization: Basic {login}\r\n")
}

fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> Response {
    send(
        address,
        &format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}"),
    )
}

/// A folder with a password file that only its owner reads.
fn dir_with_password() -> TestDir {
    let dir = TestDir::new();
    write_password(&dir, PASSWORD, 0o600);
    dir
}

fn write_password(dir: &TestDir, password: &str, mode: u32) {
    dir.write("password", format!("{password}\n"));
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(dir.path("password"), permissions).expect("set");
}

/// Starts the demo with these options and returns the address of its page at this machine.
fn start(dir: &TestDir, options: &[&str]) -> (Running, SocketAddr) {
    let mut program = Running::with_stderr(&mut dir.command(&[&DEMO[..], options].concat()));
    let line = program.wait_for("address", |line| line.contains("web page at http://"));
    let address = line.rsplit("http://").next().expect("an address");
    let address: SocketAddr = address.trim_end_matches('/').parse().expect("an address");
    (program, SocketAddr::from(([127, 0, 0, 1], address.port())))
}

const WITH_PASSWORD: [&str; 6] = [
    "--web",
    "0",
    "--web-password-file",
    "password",
    "--model",
    "model.onnx",
];

#[test]
fn all_but_healthz_asks_for_the_password() {
    let dir = dir_with_password();
    for address in ["0", "0.0.0.0:0"] {
        let options = [
            "--web",
            address,
            "--web-password-file",
            "password",
            "--model",
            "tiny.onnx",
        ];
        let (_program, address) = start(&dir, &options);
        let routes = [
            "/",
            "/page.css",
            "/page.js",
            "/zones",
            "/zones.js",
            "/icon.svg",
            "/live",
            "/picture.jpg",
            "/state",
            "/events",
            "/metrics",
            "/config",
            "/model",
            "/reload",
            "/missing",
            "/healthz/",
            "//healthz",
            "/%68ealthz",
        ];
        let wrong = [
            login(""),
            login("open sesame"),
            login(&PASSWORD.to_uppercase()),
        ];
        let wrong = wrong.iter().map(String::as_str);
        let wrong: Vec<&str> = wrong
            .chain([
                "",
                "Authorization: Basic\r\n",
                "Authorization: Bearer x\r\n",
            ])
            .collect();
        // One wrong password after the other, because many different ones in turn are throttled.
        let refused = wrong.iter().map(|headers| ("GET", *headers));
        for (method, headers) in refused.chain([("POST", ""), ("HEAD", "")]) {
            for path in routes {
                let response = request(address, method, path, headers);
                assert_eq!(response.status, 401, "{method} {path} {headers}");
                let challenge = response.header("www-authenticate");
                assert_eq!(challenge, "Basic realm=\"boxcam\"");
                assert_eq!(response.header("cache-control"), "no-store");
            }
        }
        let right = login(PASSWORD);
        for path in [
            "/", "/page.js", "/zones", "/state", "/events", "/metrics", "/config",
        ] {
            assert_eq!(request(address, "GET", path, &right).status, 200, "{path}");
        }
        assert_eq!(request(address, "GET", "/missing", &right).status, 404);
        assert_eq!(request(address, "HEAD", "/live", &right).status, 200);
        let picture = request(address, "GET", "/picture.jpg", &right);
        assert!(
            image::load_from_memory(&picture.body).is_ok(),
            "{}",
            picture.status
        );
        wait_until("healthy", || get(address, "/healthz").status == 200);
    }
}

#[test]
fn guesses_are_throttled_and_a_browser_that_is_logged_in_goes_on() {
    let dir = dir_with_password();
    let options = [
        "--web",
        "0",
        "--web-password-file",
        "password",
        "--model",
        "tiny.onnx",
    ];
    let (_program, address) = start(&dir, &options);
    let state = |headers: &str| request(address, "GET", "/state", headers);
    let right = login(PASSWORD);
    let logged_in = state(&right);
    let cookie = logged_in
        .header("set-cookie")
        .split(';')
        .next()
        .expect("a cookie");
    let cookie = format!("{right}Cookie: {cookie}\r\n");
    // Each guess that is compared makes the block longer, so that a slow machine comes to the end of it only at first.
    let refused = (0..30).find_map(|guess| {
        state(&login(&guess.to_string()));
        Some(state(&right)).filter(|response| response.status != 200)
    });
    let refused = refused.expect("guesses are throttled");
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(
        refused.text().contains("Too many wrong passwords"),
        "{}",
        refused.text()
    );
    let response = state(&cookie);
    assert_eq!((response.status, response.header("set-cookie")), (200, ""));
    assert_ne!(get(address, "/healthz").status, 429);
    assert_eq!(get(address, "/state").status, 401);
}

#[test]
fn an_address_of_the_network_needs_a_password_or_to_be_open() {
    let dir = dir_with_password();
    dir.write("empty", "\n");
    let run = |options: &[&str]| dir.run_tiny(&[&DEMO[..], &["--frames", "1"], options].concat());
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let output = run(&["--web", address]);
        output.assert_exit_code(2);
        output.assert_stderr_contains(&["--web-password-file FILE", "--web-open", address]);
        assert!(!dir.path("out.jsonl").exists(), "nothing was opened");
    }
    let web = ["--web", "0.0.0.0:0"];
    let cases = [
        (&["--web-password-file", "empty"][..], "it is empty"),
        (&["--web-password-file", "missing"], "can't be read"),
        (
            &["--web-password-file", "password", "--web-open"],
            "contradict",
        ),
    ];
    for (options, reason) in cases {
        for web in [&web[..], &["--web", "0"]] {
            let output = run(&[web, options].concat());
            output.assert_exit_code(2);
            output.assert_stderr_contains(&["--web-password-file", reason]);
        }
    }
    for web in [
        &["--web", "127.0.0.1:0"][..],
        &["--web", "0"],
        &["--web", "0.0.0.0:0", "--web-open"],
    ] {
        run(web).assert_exit_code(0);
    }
    // In the options file, too.
    dir.write("boxcam.toml", "web = \"0.0.0.0:0\"\n");
    run(&["--config", "boxcam.toml"]).assert_exit_code(2);
    dir.write("boxcam.toml", "web = \"0.0.0.0:0\"\nweb-open = true\n");
    run(&["--config", "boxcam.toml"]).assert_exit_code(0);
}

#[test]
fn doctor_says_who_may_watch() {
    let dir = dir_with_password();
    let web_finding = |options: &[&str]| {
        let easy = ["doctor", "--json", "--source", "demo", "--display", "none"];
        let output = dir.run_tiny(&[&easy[..], options].concat());
        let diagnosis: Value = serde_json::from_str(&output.stdout).expect("JSON");
        let findings = diagnosis["findings"].as_array().expect("a list").clone();
        let found = findings
            .into_iter()
            .find(|finding| finding["about"] == "web login");
        (output.code, found.expect("a finding"))
    };
    let (code, undecided) = web_finding(&["--web", "0.0.0.0:0"]);
    assert_eq!((code, &undecided["verdict"]), (1, &"bad".into()));
    let text = undecided.to_string();
    assert!(
        text.contains("--web-password-file") && text.contains("--web-open"),
        "{text}"
    );
    let (code, open) = web_finding(&["--web", "0.0.0.0:0", "--web-open"]);
    assert_eq!((code, &open["verdict"]), (0, &"note".into()));
    assert!(
        open["says"]
            .as_str()
            .expect("text")
            .contains("without a password"),
        "{open}"
    );
    let with_password = ["--web", "0", "--web-password-file", "password"];
    let (_, closed) = web_finding(&with_password);
    assert_eq!(closed["verdict"], "good");
    write_password(&dir, PASSWORD, 0o644);
    let (code, readable) = web_finding(&with_password);
    assert_eq!((code, &readable["verdict"]), (0, &"note".into()));
    assert!(
        readable["mend"].as_str().expect("text").contains("chmod"),
        "{readable}"
    );
    let (_, local) = web_finding(&["--web", "0"]);
    assert_eq!(local["verdict"], "good");
}

/// A request to change something, as curl sends it.
fn change(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Response {
    let own = format!("X-Boxcam-Request: 1\r\n{}{headers}", login(PASSWORD));
    send_body(
        address,
        &format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{own}"),
        body,
    )
}

fn running_model(address: SocketAddr) -> String {
    let state = request(address, "GET", "/state", &login(PASSWORD)).json();
    state["model"].as_str().expect("a hash").to_owned()
}

#[test]
fn a_model_is_proved_before_it_is_used() {
    let dir = dir_with_password();
    let [first, second] = ["first", "second"].map(|name| proved(name).encode_to_vec());
    dir.write("model.onnx", &first);
    let (_program, address) = start(&dir, &WITH_PASSWORD);

    let response = change(address, "/model", "", &second);
    assert_eq!(response.status, 200, "{}", response.text());
    let installed = response.json();
    assert_eq!(installed["model"], hash_of(&second));
    assert_eq!(
        (&installed["golden_examples"], &installed["changed"]),
        (&1.into(), &true.into())
    );
    wait_until("the second model", || {
        running_model(address) == hash_of(&second)
    });
    let again = change(address, "/model", "", &second).json();
    assert_eq!(again["changed"], false);

    // The file is the first model still.
    let response = change(address, "/reload", "", b"");
    assert_eq!(
        (response.status, &response.json()["model"]),
        (200, &hash_of(&first).into())
    );
    wait_until("the first model", || {
        running_model(address) == hash_of(&first)
    });

    let mut damaged = proved("damaged");
    let weights = &mut tiny_model::graph_of(&mut damaged).initializer[0];
    weights.float_data.reverse();
    weights.float_data[4] = -8.0;
    let damaged = damaged.encode_to_vec();
    let unproved = tiny_model::bytes();
    let refused: [(&[u8], &str); 5] = [
        (&second[..second.len() / 2], "not a complete ONNX file"),
        (b"", "ONNX"),
        (b"no model", "ONNX"),
        (&damaged, "golden example 1"),
        (&unproved, "no golden examples"),
    ];
    for (bytes, reason) in refused {
        let response = change(address, "/model", "", bytes);
        assert_eq!(response.status, 422, "{reason}");
        let error = response.json()["error"].as_str().expect("text").to_owned();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(running_model(address), hash_of(&first));
}

#[test]
fn a_model_that_is_too_large_is_refused() {
    let dir = dir_with_password();
    dir.write("model.onnx", proved("first").encode_to_vec());
    let (_program, address) = start(&dir, &WITH_PASSWORD);
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    let length = (64 << 20) + 1;
    let head = format!(
        "POST /model HTTP/1.1\r\nHost: {address}\r\nX-Boxcam-Request: 1\r\n{}Content-Length: {length}\r\n\r\n",
        login(PASSWORD)
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let chunk = vec![0; 1 << 20];
    for _ in 0..65 {
        // The program may have answered and closed the connection already.
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    let read = std::io::Read::read_exact(&mut stream, &mut answer);
    // A reset connection may have lost the answer.
    assert!(
        read.is_err() || &answer == b"HTTP/1.1 413",
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(
        change(address, "/reload", "", b"").status,
        200,
        "it goes on"
    );
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let dir = dir_with_password();
    let bytes = proved("first").encode_to_vec();
    dir.write("model.onnx", &bytes);
    let (_program, address) = start(&dir, &WITH_PASSWORD);
    for path in ["/model", "/reload"] {
        for headers in [
            "Origin: http://evil.example\r\n",
            "Origin: null\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
        ] {
            let response = change(address, path, headers, b"");
            assert_eq!(response.status, 403, "{path} {headers}");
            assert!(
                response.text().contains("another site"),
                "{}",
                response.text()
            );
        }
        let without_header = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\n{}",
            login(PASSWORD)
        );
        let response = send_body(address, &without_header, b"");
        assert_eq!(response.status, 403);
        assert!(
            response.text().contains("X-Boxcam-Request"),
            "{}",
            response.text()
        );
        // A browser asks before it sends the header for another site, and is not allowed to.
        let asked = request(address, "OPTIONS", path, &login(PASSWORD));
        assert_eq!(asked.header("access-control-allow-origin"), "");
        assert_ne!(asked.status, 200);
        let own = format!("Origin: http://{address}\r\nSec-Fetch-Site: same-origin\r\n");
        assert_eq!(change(address, path, &own, &bytes).status, 200, "{path}");
        assert_ne!(request(address, "GET", path, &login(PASSWORD)).status, 200);
    }
}

#[test]
fn an_open_page_has_no_rest() {
    let dir = TestDir::new();
    let (_program, address) = start(&dir, &["--web", "0", "--model", "tiny.onnx"]);
    for (method, path) in [("POST", "/model"), ("POST", "/reload"), ("GET", "/config")] {
        let response = request(address, method, path, "X-Boxcam-Request: 1\r\n");
        assert_eq!(response.status, 403, "{path}");
        assert!(
            response.text().contains("--web-password-file"),
            "{}",
            response.text()
        );
    }
    assert_eq!(get(address, "/state").status, 200);
}

#[test]
fn the_options_are_those_of_boxcam_config_without_passwords() {
    let dir = dir_with_password();
    dir.write(
        "boxcam.toml",
        "mqtt = \"mqtt://cam:s3cret@127.0.0.1:9\"\nrate = 12\n",
    );
    dir.write("model.onnx", proved("first").encode_to_vec());
    let options = [&WITH_PASSWORD[..], &["--config", "boxcam.toml"]].concat();
    let (_program, address) = start(&dir, &options);
    let response = request(address, "GET", "/config", &login(PASSWORD));
    assert_eq!(response.header("content-type"), "application/json");
    let text = response.text();
    assert!(
        !text.contains("s3cret") && !text.contains("sesame"),
        "{text}"
    );
    let printed = dir.run(&[&["config", "--json"][..], &DEMO[1..], &options[..]].concat());
    printed.assert_exit_code(0);
    assert_eq!(response.json(), printed.lines()[0]);
}

#[test]
fn a_model_without_a_hidden_class_is_refused() {
    let dir = dir_with_password();
    dir.write("model.onnx", proved("first").encode_to_vec());
    let options = [&WITH_PASSWORD[..], &["--hide-classes", "red"]].concat();
    let (_program, address) = start(&dir, &options);
    let mut other = proved("other");
    let mut card = tiny_model::card();
    let names = ["crimson", "green", "blue"].map(str::to_owned);
    card.labels = boxcam::label::Labels::new(names.to_vec()).expect("valid");
    tiny_model::set_card(&mut other, &card);
    let response = change(address, "/model", "", &other.encode_to_vec());
    assert_eq!(response.status, 422);
    let text = response.text();
    assert!(
        text.contains("--hide-classes") && text.contains("no class"),
        "{text}"
    );
}

#[test]
fn a_built_in_model_has_no_file_to_reload() {
    if !cfg!(feature = "embedded-model") {
        return;
    }
    let dir = dir_with_password();
    let (_program, address) = start(
        &dir,
        &[
            "--web",
            "0",
            "--web-password-file",
            "password",
            "--model",
            "snacks",
        ],
    );
    let response = change(address, "/reload", "", b"");
    assert_eq!(response.status, 409);
    assert!(
        response.text().contains("--model FILE"),
        "{}",
        response.text()
    );
}
