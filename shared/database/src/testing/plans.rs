//! Reading the plan of a statement.

/// Whether a plan goes through a table from end to end: row by row, or along an index that is asked for nothing.
#[must_use]
pub fn reads_whole(plan: &str, table: &str) -> bool {
    let lines: Vec<&str> = plan.lines().collect();
    lines.iter().zip(lines.iter().skip(1).chain([&""])).any(|(line, next)| {
        let is_asked =
            line.contains("Tid Scan") || next.contains("Index Cond") || next.contains("Recheck Cond");
        is_scan_of(line, table) && !is_asked
    })
}

fn is_scan_of(line: &str, table: &str) -> bool {
    let is_of_a_table = line.contains(" Scan ") && !line.contains("Subquery Scan");
    is_of_a_table && line.split_once(" on ").is_some_and(|(_, on)| on.split(' ').next() == Some(table))
}

#[cfg(test)]
mod tests {
    use super::reads_whole;

    #[test]
    fn a_table_is_read_whole_by_a_scan_that_is_asked_for_nothing() {
        for plan in [
            "Limit\n  ->  Seq Scan on users\n        Filter: (role = 2)",
            "->  Seq Scan on users users_1",
            "Limit\n  ->  Index Scan using users_pkey on users users_1\n        Filter: (role = 2)",
        ] {
            assert!(reads_whole(plan, "users"), "{plan}");
            assert!(!reads_whole(plan, "user"), "{plan}");
        }
        for plan in [
            "->  Index Only Scan using users_by_place on users\n      Index Cond: (role = 2)",
            "->  Bitmap Heap Scan on users\n      Recheck Cond: (role = 2)",
            "->  Tid Scan on users\n      TID Cond: (ctid = ANY ($1))",
            "->  Subquery Scan on users\n      ->  Limit",
        ] {
            assert!(!reads_whole(plan, "users"), "{plan}");
        }
    }
}
