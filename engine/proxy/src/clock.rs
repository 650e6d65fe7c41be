//! The wall clock as policy, certificates and records need it. Durations are measured with `Instant` instead,
//! which no time server can turn back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970, UTC.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whole seconds since 1970, as snapshots count them.
pub(crate) fn unix_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Append `2026-11-23T02:45:05.123Z`. Written out because no date library is otherwise needed on the request
/// path, and the civil calendar is five lines (days to date after Howard Hinnant's algorithm).
pub(crate) fn write_rfc3339(out: &mut Vec<u8>, time: Duration) {
    write_second(out, time.as_secs());
    out.push(b'.');
    digits(out, u64::from(time.subsec_millis()), 3);
    out.push(b'Z');
}

/// `2026-11-23T02:45:05Z`, of Unix seconds; what was before 1970 is written as 1970.
pub(crate) fn second(seconds: i64) -> String {
    let mut out = Vec::new();
    write_second(&mut out, u64::try_from(seconds).unwrap_or_default());
    out.push(b'Z');
    String::from_utf8_lossy(&out).into_owned()
}

fn write_second(out: &mut Vec<u8>, seconds: u64) {
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    digits(out, year, 4);
    for (separator, value) in [
        (b'-', month),
        (b'-', day),
        (b'T', of_day / 3600),
        (b':', of_day / 60 % 60),
        (b':', of_day % 60),
    ] {
        out.push(separator);
        digits(out, value, 2);
    }
}

fn civil(days: u64) -> (u64, u64, u64) {
    // Years are counted from the first of March of year 0, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

fn digits(out: &mut Vec<u8>, value: u64, width: u32) {
    for position in (0..width).rev() {
        out.push(b'0' + (value / 10_u64.pow(position) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (seconds, millis, text) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.001Z"),
            (1_795_401_905, 123, "2026-11-23T02:45:05.123Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
        ] {
            let mut out = Vec::new();
            write_rfc3339(
                &mut out,
                Duration::from_secs(seconds) + Duration::from_millis(millis),
            );
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        assert_eq!(second(1_795_401_905), "2026-11-23T02:45:05Z");
        assert_eq!(second(-1), "1970-01-01T00:00:00Z");
    }
}
