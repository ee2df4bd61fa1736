//! fxtranslate's crate in blocks of texts, as bench/engines/work.py speaks: see there. Arguments: MODEL PIECES
//! [SHORTLIST]. A block is of texts of one length, so that none is padded.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use fxtranslate::engine::Engine;
use fxtranslate::shortlist::Shortlist;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let mut engine = Engine::load(&paths[0], &paths[1], &paths[1])?;
    if let Some(path) = paths.get(2) {
        engine = engine.with_shortlist(Shortlist::load(path)?);
    }
    println!(
        "{{\"versions\": {{\"fxtranslate\": \"0.5.0\", \"kernel\": \"{}\"}}, \"notes\": []}}",
        fxtranslate::gemm::backend()
    );
    io::stdout().flush()?;
    let mut prepared: HashMap<String, Vec<Vec<u32>>> = HashMap::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let fields: Vec<&str> = line.split('\t').collect();
        if !prepared.contains_key(fields[0]) {
            let text = std::fs::read_to_string(fields[0])?;
            let mut sources: Vec<Vec<u32>> = text.lines().map(|l| engine.src_ids(l)).collect();
            sources.sort_by_key(|s| std::cmp::Reverse(s.len()));
            prepared.insert(fields[0].to_string(), sources);
        }
        let rows: usize = fields[1].parse()?;
        let started = Instant::now();
        let mut tokens = 0;
        for block in prepared[fields[0]].chunks(rows) {
            tokens += match block {
                [one] => engine.greedy(one).len(),
                _ => engine.greedy_batch(block).iter().map(Vec::len).sum(),
            };
        }
        println!("{{\"seconds\": {}, \"tokens\": {}}}", started.elapsed().as_secs_f64(), tokens);
        io::stdout().flush()?;
    }
    Ok(())
}
