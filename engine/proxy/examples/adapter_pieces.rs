//! Times the adapter's pieces on one core: reading and writing a request of 20 features and 20 rows, and narrowing
//! an answer of about 20 KB. `cargo run --release -p featward-proxy --example adapter_pieces`

use std::hint::black_box;
use std::time::{Duration, Instant};

use featward_policy::ColumnType;
use featward_proxy::adapter::feast_http::{Kept, ParseLimits, parse};

const FEATURES: usize = 20;
const ROWS: usize = 20;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(200);

fn main() {
    let features: Vec<String> = (0..FEATURES)
        .map(|index| format!("driver_hourly_stats:rate_{index:02}"))
        .collect();
    let features: Vec<&str> = features.iter().map(String::as_str).collect();
    let body = request(&features);
    let answer = answer(&features);
    let column = |name: &str| (name == "driver_id").then_some(ColumnType::Int64);
    let limits = ParseLimits::default();
    let Ok(read) = parse(&body, column, &limits) else {
        return eprintln!("the example's own request is refused");
    };
    let (all, half) = (features.clone(), &features[..FEATURES / 2]);

    measure(&format!("parse {} B", body.len()), || {
        black_box(parse(black_box(&body), column, &limits).is_ok())
    });
    measure("write", || black_box(read.write(None).len()));
    measure("names to keep", || {
        black_box(Kept::new(&read, all.iter().copied()).column("rate_00"))
    });
    for (name, granted) in [("all kept", &all[..]), ("half kept", half)] {
        let kept = Kept::new(&read, granted.iter().copied());
        measure(&format!("filter {} B, {name}", answer.len()), || {
            black_box(kept.filter(black_box(&answer), |_| false).is_ok())
        });
    }
}

fn request(features: &[&str]) -> Vec<u8> {
    let rows: Vec<usize> = (0..ROWS).map(|row| 1001 + row).collect();
    format!(r#"{{"features":{features:?},"entities":{{"driver_id":{rows:?}}}}}"#).into_bytes()
}

fn answer(features: &[&str]) -> Vec<u8> {
    let column = |index: usize| {
        let values: Vec<f64> = (0..ROWS).map(|row| (index * ROWS + row) as f64 / 997.0).collect();
        let times = vec!["2026-11-22T19:27:21Z"; ROWS];
        let statuses = vec!["PRESENT"; ROWS];
        format!(r#"{{"values":{values:?},"statuses":{statuses:?},"event_timestamps":{times:?}}}"#)
    };
    let results: Vec<String> = (0..=features.len()).map(column).collect();
    let names = features.iter().filter_map(|name| name.split_once(':'));
    let names: Vec<&str> = std::iter::once("driver_id")
        .chain(names.map(|(_, feature)| feature))
        .collect();
    format!(
        r#"{{"results":[{}],"metadata":{{"feature_names":{names:?}}}}}"#,
        results.join(",")
    )
    .into_bytes()
}

/// Prints the median and the range of the mean time of a call, over the rounds.
fn measure<T>(name: &str, mut call: impl FnMut() -> T) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (start, mut calls) = (Instant::now(), 0u32);
            while start.elapsed() < ROUND {
                for _ in 0..100 {
                    call();
                }
                calls += 100;
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let (least, median, most) = (rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]);
    println!("{name:32} {median:9.0} ns ({least:.0}-{most:.0})");
}
