use super::*;

const HEADER: &str = "epoch,loss,class_loss,box_loss,class_accuracy,mean_iou,val_class_loss,\
                      val_box_mse,val_class_accuracy,val_mean_iou";

/// A history of files with these texts.
pub(in crate::plot) fn of(texts: &[String]) -> Result<History, HistoryError> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let run = folder.path().join(format!("run{number}"));
        std::fs::create_dir(&run).expect("made");
        std::fs::write(run.join(FILE), text).expect("written");
        files.push(run);
    }
    History::read(&files)
}

/// A run as `train` writes it, with that validation accuracy in each epoch.
pub(in crate::plot) fn run(accuracies: &[f64]) -> String {
    let row = |(index, accuracy): (usize, &f64)| {
        let loss = 3.0 / (1.0 + index as f64);
        format!(
            "\n{},{loss},{},{},0.9,0.5,{loss},0.04,{accuracy},0.4",
            index + 1,
            loss / 2.0,
            loss / 2.0
        )
    };
    let rows = accuracies.iter().enumerate().map(row);
    format!("{HEADER}{}\n", rows.collect::<String>())
}

fn fault(text: &str) -> String {
    of(&[text.to_owned()]).expect_err("broken").to_string()
}

#[test]
fn runs_that_begin_anew_are_counted_on_and_those_that_go_on_are_not() {
    let again = of(&[run(&[0.1, 0.2]), run(&[0.3, 0.4, 0.35])]).expect("sound");
    let numbers: Vec<u32> = again.epochs.iter().map(|epoch| epoch.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let firsts: Vec<u32> = again.runs.iter().map(|run| run.first).collect();
    assert_eq!(firsts, [1, 3]);
    assert_eq!(again.best().map(|epoch| epoch.number), Some(4));
    let on = "epoch,loss,lr\n3,0.5,1e-4\n4,0.4,1e-5\n".to_owned();
    let on = of(&[run(&[0.1, 0.2]), on]).expect("sound");
    assert_eq!(on.epochs.last().map(|epoch| epoch.number), Some(4));
}

#[test]
fn columns_unknown_here_are_kept_as_they_stand_and_missing_ones_are_gaps() {
    let text = "epoch,rate,loss,note\n1,1e-3,2.0,first\n2,1e-4,NaN,\n3,1e-5,,last\n";
    let history = of(&[text.to_owned()]).expect("sound");
    assert_eq!(history.columns, ["rate", "loss", "note"]);
    let losses: Vec<_> = history.series("loss").collect();
    assert_eq!(losses, [(1, Some(2.0)), (2, None), (3, None)]);
    assert_eq!(history.epochs[0].text("note"), "first");
    assert_eq!(history.epochs[0].text("val_mean_iou"), "");
    assert!(history.has("loss") && !history.has("note") && history.best().is_none());
}

#[test]
fn a_broken_history_is_named_with_its_line() {
    let cases = [
        (
            "epoch,loss\n1,2.0\n2,soup\n",
            "line 3: loss is \"soup\", expected a number",
        ),
        (
            "epoch,loss\n1,2.0,9\n",
            "line 2: has 3 fields, the header has 2",
        ),
        (
            "epoch,loss\none,2.0\n",
            "line 2: epoch is \"one\", expected a whole number",
        ),
        ("epoch,loss\n0,2.0\n", "line 2: epoch is \"0\""),
        (
            "epoch,loss\n1,2.0\n1,2.0\n",
            "line 3: epoch 1 follows on epoch 1",
        ),
        (
            "loss\n1\n",
            "line 1: has no column \"epoch\" (it has: loss)",
        ),
        ("epoch,rate\n1,1\n", "line 1: has no column \"loss\" or"),
        ("epoch,loss\n", "has no epoch yet"),
    ];
    for (text, expected) in cases {
        let said = fault(text);
        assert!(
            said.contains(expected) && said.contains(FILE),
            "{text}: {said}"
        );
    }
    let nowhere = History::read(&[PathBuf::from("nowhere")]).expect_err("missing");
    assert!(
        nowhere
            .to_string()
            .contains("history nowhere: can't be read")
    );
}
