//! placeholder
fn main() {
    let mut args = std::env::args().skip(1);
    let from: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(0);
    let n: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(1);
    let tells = args.next().is_some();
    for seed in from..from + n {
        let report = simulation::run(seed, tells);
        for line in &report.story { println!("{line}"); }
        for v in &report.violations { println!("seed {seed}: {}: {}", v.invariant, v.what); }
        if n == 1 { println!("{:?}\n{:?}", report.counts, report.looks); }
    }
}
