//! A page of 20 users: every order, both ways, without a filter, with one role, with one state; the first page, one in
//! the middle and the last; in databases of several sizes.

use identity::{PageSize, UsernamePrefix};
use users_core::domain::{Role, State};
use users_core::ports::{Reader as _, Store as _};
use users_core::queries::{Direction, ListUsers, Order, SortBy, UserFilter};
use users_service::PgStore;

use super::population::Population;
use super::sampling::{Sample, micros, once, ratio};

const PAGE: i32 = 20;

/// Where in the list a page is.
const DEPTHS: [&str; 3] = ["first", "middle", "last"];

/// What is asked for, but for the place.
struct Question {
    name: String,
    order: Order,
    filter: UserFilter,
}

/// Fills the databases and prints the table.
pub(crate) async fn run(sizes: &[u32], rounds: u32) {
    let mut populations = Vec::with_capacity(sizes.len());
    for size in sizes {
        eprintln!("filling a database with {size} users");
        populations.push(Population::of(*size).await);
    }
    println!();
    println!(
        "A page of {PAGE} users. In brackets: how many times as long as the first page of {} users.",
        sizes[0]
    );
    println!();
    print!("{:<34} {:<7}", "order, filter", "page");
    for size in sizes {
        print!(" {:>22}", format!("{size} users"));
    }
    println!();
    let mut worst: f64 = 0.0;
    for question in questions() {
        worst = worst.max(compare(&question, &populations, rounds).await);
    }
    println!();
    println!("the most in brackets at {} users: {worst:.2}", sizes.last().expect("a size"));
}

/// Super admins are left out: a thousand users have no page full of them.
fn questions() -> Vec<Question> {
    let filters = [
        ("", Vec::new(), Vec::new()),
        ("role ADMIN", vec![Role::Admin], Vec::new()),
        ("role USER", vec![Role::User], Vec::new()),
        ("state ACTIVE", Vec::new(), vec![State::Active]),
        ("state INACTIVE", Vec::new(), vec![State::Inactive]),
    ];
    let mut questions = Vec::new();
    for by in SortBy::ALL {
        for direction in [Direction::Ascending, Direction::Descending] {
            for (name, roles, states) in &filters {
                questions.push(Question {
                    name: format!("{by:?} {direction:?} {name}"),
                    order: Order { by, direction },
                    filter: UserFilter {
                        roles: roles.clone(),
                        states: states.clone(),
                        prefix: UsernamePrefix::parse("").expect("no prefix"),
                    },
                });
            }
        }
    }
    questions
}

/// One line for each depth; gives the greatest ratio of the largest database.
async fn compare(question: &Question, populations: &[Population], rounds: u32) -> f64 {
    let mut pages = Vec::with_capacity(populations.len());
    for population in populations {
        pages.push(pages_of(question, population).await);
    }
    let mut samples: Vec<Vec<Sample>> =
        pages.iter().map(|pages| pages.iter().map(|_| Sample::default()).collect()).collect();
    // The first ones make connections and plans.
    for round in 0..rounds + 10 {
        for (population, (pages, samples)) in populations.iter().zip(pages.iter().zip(&mut samples)) {
            for (page, sample) in pages.iter().zip(samples) {
                let time = once(read(&population.store, page)).await;
                if round >= 10 {
                    sample.add(time);
                }
            }
        }
    }
    let first = samples[0][0].median();
    let mut worst: f64 = 0.0;
    for (depth, name) in DEPTHS.iter().enumerate() {
        print!("{:<34} {name:<7}", question.name);
        for samples in &samples {
            let median = samples[depth].median();
            print!(" {:>14} us ({:.2})", micros(median), ratio(median, first));
        }
        println!();
        worst = worst.max(ratio(samples.last().expect("a size")[depth].median(), first));
    }
    worst
}

async fn read(store: &PgStore, page: &ListUsers) {
    let found = store.reader().list_users(page).await.expect("a page");
    assert!(!found.users.is_empty(), "there are users on every page");
}

/// The same question at three depths.
async fn pages_of(question: &Question, population: &Population) -> [ListUsers; 3] {
    let count = population.count(&question.filter).await;
    let page = |after| ListUsers {
        order: question.order,
        filter: question.filter.clone(),
        after,
        skip: 0,
        page_size: PageSize::parse(PAGE).expect("a page size"),
        include_total: false,
    };
    let last = count.saturating_sub(i64::from(PAGE) + 1).max(0);
    let place = async |position| population.place(question.order, &question.filter, position).await;
    let (middle, last) = (place(count / 2).await, place(last).await);
    [page(None), page(Some(middle)), page(Some(last))]
}
