//! Authorise, capture, credit, reverse; the ticket; what is refused.

use std::sync::Arc;

use scanvault_sandbox::{
    common::book::Book,
    nets::codec::{Frame, Message, Status},
};

use super::{CARD, Sim, authorization, capture, credit, message, reversal};

#[tokio::test]
async fn an_approval_its_ticket_and_its_entry() {
    let sim = Sim::start().await;
    let answer = sim.authorized("order-1", 1220).await;
    assert_eq!(answer.kind(), "1110");
    assert_eq!(answer.get(56).map(str::len), Some(255));
    assert_eq!(answer.get(38).map(str::len), Some(6));
    for (number, text) in [(2, CARD), (4, "000000001220"), (31, "order-1"), (41, "term1   "), (49, "DKK")] {
        assert_eq!(answer.get(number), Some(text), "echoed");
    }
    let book = sim.book.entries();
    assert_eq!((book[0].action.as_str(), book[0].booked, book[0].pan_last4.as_str()), ("000", true, "1234"));
    let text = serde_json::to_string(&book).unwrap();
    assert!(!text.contains(CARD) && !text.contains("V503123"), "{text}");
}

#[tokio::test]
async fn in_parts_and_back_again() {
    let sim = Sim::start().await;
    let first = sim.authorized("order-1", 1000).await;
    let code = first.get(38).unwrap();
    let second = sim.expect(&capture("order-1", 300, "202", &first, code), "000").await;
    assert_eq!(second.kind(), "1230");
    assert_ne!(second.get(56), first.get(56), "a new ticket");
    sim.expect(&capture("order-1", 100, "202", &first, code), "118").await;
    sim.expect(&capture("order-1", 701, "202", &second, code), "110").await;
    let third = sim.expect(&capture("order-1", 700, "202", &second, code), "000").await;
    sim.expect(&credit("order-1", 1001, &third, code), "110").await;
    let fourth = sim.expect(&credit("order-1", 400, &third, code), "000").await;
    sim.expect(&credit("order-1", 601, &fourth, code), "110").await;
    sim.expect(&reversal("order-1", 1000, &fourth, code), "110").await;
    let moved = [("authorization", 1000), ("capture", 300), ("capture", 700), ("credit", 400)];
    assert_eq!(sim.moved(), moved.map(|(kind, amount)| (kind.to_owned(), amount)));
}

#[tokio::test]
async fn whole_captures_and_reversals() {
    let sim = Sim::start().await;
    let first = sim.authorized("order-1", 1000).await;
    let code = first.get(38).unwrap();
    sim.expect(&capture("order-1", 1000, "202", &first, code), "115").await;
    sim.expect(&capture("order-1", 999, "201", &first, code), "115").await;
    sim.expect(&credit("order-1", 1, &first, code), "110").await;
    sim.expect(&capture("order-1", 1000, "201", &first, code), "000").await;

    let first = sim.authorized("order-2", 500).await;
    let code = first.get(38).unwrap();
    sim.expect(&reversal("order-2", 499, &first, code), "110").await;
    let reversed = sim.expect(&reversal("order-2", 500, &first, code), "400").await;
    assert_eq!(reversed.kind(), "1430");
    sim.expect(&capture("order-2", 500, "201", &reversed, code), "110").await;
    let moved = [("authorization", 1000), ("capture", 1000), ("authorization", 500), ("reversal", 500)];
    assert_eq!(sim.moved(), moved.map(|(kind, amount)| (kind.to_owned(), amount)));
}

#[tokio::test]
async fn a_ticket_belongs_to_its_order() {
    let sim = Sim::start().await;
    let first = sim.authorized("order-1", 1000).await;
    let code = first.get(38).unwrap();
    sim.expect(&capture("order-2", 1000, "201", &first, code), "118").await;
    sim.expect(&capture("order-1", 1000, "201", &first, "000000"), "118").await;
    let mut other = capture("order-1", 1000, "201", &first, code);
    other.set(42, "7654321").unwrap();
    sim.expect(&other, "118").await;
    let mut other = capture("order-1", 1000, "201", &first, code);
    other.set(56, &"x".repeat(255)).unwrap();
    assert_eq!(sim.expect(&other, "118").await.get(56), other.get(56), "given back as it came");
    let mut euros = capture("order-1", 1000, "201", &first, code);
    euros.set(49, "EUR").unwrap();
    sim.expect(&euros, "110").await;
}

#[tokio::test]
async fn declines() {
    let sim = Sim::start().await;
    let with = |fields: &[(u8, &str)]| {
        let mut request = authorization("order-1", 1000);
        fields.iter().for_each(|(number, text)| request.set(*number, text).unwrap());
        request
    };
    for (request, action) in [
        (with(&[(24, "106")]), "115"),
        (with(&[(2, "0000123412341234")]), "116"),
        (with(&[(2, "4571000000000001")]), "116"),
        (with(&[(4, "100000001")]), "116"),
        (with(&[(14, "2610")]), "101"),
        (with(&[(14, "3013")]), "101"),
        (with(&[(47, "V503124")]), "102"),
        (with(&[(47, "7R02ab")]), "021"),
        (with(&[(47, "V500")]), "021"),
        (with(&[(4, "9116")]), "116"),
        (with(&[(4, "9909")]), "909"),
        (with(&[(4, "9120")]), "120"),
    ] {
        let answer = sim.expect(&request, action).await;
        assert_eq!((answer.get(38), answer.get(56)), (None, None));
    }
    assert_eq!(sim.moved(), []);
    sim.expect(&with(&[(4, "9060")]), "060").await;
    sim.expect(&with(&[(22, "K00540K00130"), (47, "V500")]), "000").await;
    sim.expect(&with(&[(2, "4571000000000001"), (4, "100")]), "000").await;
    sim.expect(&with(&[(2, "4571000000000001"), (4, "1")]), "116").await;
    sim.expect(&with(&[(14, "2611"), (31, "order-2")]), "000").await;
}

#[tokio::test]
async fn repetitions() {
    let sim = Sim::start().await;
    let request = authorization("order-1", 1000);
    let first = sim.expect(&request, "000").await;
    let code = first.get(38).unwrap();
    assert_eq!(sim.expect(&request, "913").await.get(56), None, "the ticket is lost");
    let taken = capture("order-1", 400, "202", &first, code);
    let answer = sim.expect(&taken, "000").await;
    assert_eq!(sim.send(&taken).await, answer, "the same advice, the same answer");
    let second = capture("order-1", 400, "202", &answer, code);
    sim.expect(&second, "000").await;
    assert_eq!(sim.send(&taken).await, answer, "even later");
    assert_eq!(sim.moved().len(), 3);
}

#[tokio::test]
async fn the_book_restores_everything() {
    let sim = Sim::start().await;
    let first = sim.authorized("order-1", 1000).await;
    let code = first.get(38).unwrap();
    let taken = capture("order-1", 400, "202", &first, code);
    let second = sim.expect(&taken, "000").await;
    let book = Book::default();
    for entry in serde_json::from_str::<Vec<_>>(&serde_json::to_string(&sim.book.entries()).unwrap()).unwrap() {
        book.record(entry).unwrap();
    }
    let sim = Sim::with(Arc::new(book)).await;
    assert_eq!(sim.send(&taken).await, second);
    sim.expect(&authorization("order-1", 1000), "913").await;
    sim.expect(&capture("order-1", 601, "202", &second, code), "110").await;
    sim.expect(&capture("order-1", 600, "202", &second, code), "000").await;
}

#[tokio::test]
async fn sixty_four_captures_with_one_ticket() {
    let sim = Arc::new(Sim::start().await);
    let first = Arc::new(sim.authorized("order-1", 1000).await);
    let calls: Vec<_> = (0..64_u64)
        .map(|at| {
            let (sim, first) = (sim.clone(), first.clone());
            tokio::spawn(async move {
                let request = capture("order-1", 100 + at, "202", &first, first.get(38).unwrap());
                sim.send(&request).await.get(39).unwrap().to_owned()
            })
        })
        .collect();
    let mut actions = Vec::new();
    for call in calls {
        actions.push(call.await.unwrap());
    }
    actions.sort();
    assert_eq!((actions[0].as_str(), actions[1].as_str()), ("000", "118"), "one");
    assert_eq!(sim.moved().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_read() {
    let sim = Sim::start().await;
    let failure = Frame::failure(1).encode().unwrap();
    let frame = |payload: &[u8]| Frame::new(payload.to_vec()).encode().unwrap();
    for bytes in [frame(b"nothing"), frame(b""), vec![0, 5], Frame::failure(7).encode().unwrap()] {
        assert_eq!(sim.bytes(&bytes).await, failure, "the header alone, code 1");
    }
    for number in [2_u8, 14, 22, 24, 26, 31, 41, 42, 43, 47, 49] {
        let good = authorization("order-1", 1000);
        let mut request = Message::new("1100");
        for other in (1..=64_u8).filter(|other| *other != number) {
            if let Some(text) = good.get(other) {
                request.set(other, text).unwrap();
            }
        }
        let answer = sim.send(&request).await;
        assert_eq!((answer.kind(), answer.status), ("1110", Status::BadRequest), "without field {number}");
    }
    for (number, text) in [(22, "X00500K00130"), (47, "V5"), (49, "208")] {
        let mut request = authorization("order-1", 1000);
        request.set(number, text).unwrap();
        assert_eq!(sim.send(&request).await.status, Status::BadRequest, "field {number}");
    }
    assert_eq!(sim.send(&message("1804", "order-1", 1, &[])).await.status, Status::NotImplemented, "no look-up either");
    assert!(sim.book.entries().is_empty());
}
