//! The configuration of `srun --multi-prog`: which task runs what (srun(1), "MULTIPLE PROGRAM
//! CONFIGURATION").

/// Program and arguments of a task.
///
/// # Errors
/// What is wrong with the configuration, in words.
pub fn argv(config: &str, task: u32) -> Result<Vec<String>, String> {
    // A line that ends in a backslash goes on in the next one.
    let joined = config.replace("\\\n", " ");
    for (line, number) in joined.lines().zip(1..) {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cut = line.find(char::is_whitespace);
        let cut = cut.ok_or_else(|| format!("Invalid MPMD configuration line {number}"))?;
        let (tasks, command) = line.split_at(cut);
        if let Some(offset) = offset_in(tasks, task) {
            let words = words(command.trim_start(), task, offset)?;
            if words.is_empty() {
                return Err(format!("Invalid MPMD configuration line {number}"));
            }
            return Ok(words);
        }
    }
    Err(format!("Program for task rank {task} not specified."))
}

/// The task's place among the listed ones: `0`, `1-3`, `5,7`, `*`.
fn offset_in(tasks: &str, task: u32) -> Option<u32> {
    let mut passed = 0;
    for range in tasks.split(',') {
        if range == "*" {
            return Some(task);
        }
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (Ok(low), Ok(high)) = (low.parse::<u32>(), high.parse::<u32>()) else { continue };
        if low <= task && task <= high {
            return Some(passed + task - low);
        }
        passed += (high + 1).saturating_sub(low);
    }
    None
}

/// Splits at blanks; single quotes keep everything, a backslash the next character, `%t` is the task
/// and `%o` its place.
fn words(command: &str, task: u32, offset: u32) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = command.chars();
    while let Some(letter) = rest.next() {
        match letter {
            blank if blank.is_whitespace() => all.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(rest.next()),
            '%' => match rest.next() {
                Some('t') => word.get_or_insert_default().push_str(&task.to_string()),
                Some('o') => word.get_or_insert_default().push_str(&offset.to_string()),
                Some(_) | None => {}
            },
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(inside) => word.push(inside),
                        None => {
                            let text = "Program arguments specification format invalid";
                            return Err(format!("{text}: {command}"));
                        }
                    }
                }
            }
            plain => word.get_or_insert_default().push(plain),
        }
    }
    all.extend(word);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# comment\n\n4-6 hostname\n1,7 echo task:%t\n0,2-3 echo 'off  set:'%o \\\n\
        more\n* sh -c 'exit 3'\n";

    #[test]
    fn each_task_runs_its_line() {
        let run = |task| argv(CONFIG, task).unwrap().join("|");
        assert_eq!(run(5), "hostname");
        assert_eq!(run(7), "echo|task:7");
        assert_eq!(run(3), "echo|off  set:2|more");
        assert_eq!(run(9), "sh|-c|exit 3");
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(argv("0 a\n", 1).unwrap_err().contains("task rank 1 not specified"));
        assert!(argv("0\n", 0).unwrap_err().contains("line 1"));
        assert!(argv("0 echo 'a\n", 0).is_err());
    }
}
