//! A CSV file has the same rows in every program that opens it: DuckDB, and LibreOffice where that
//! is installed. What Python's csv module reads is what they are compared with.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tracing_audit::http::RouterOptions;

use crate::{
    downloads_for_others::{HOSTILE, rows, write_hostile},
    http::served,
    packages::with_packages,
};

/// An export with texts that would break a table.
async fn table() -> Vec<u8> {
    let served = served(200, RouterOptions::new());
    write_hostile(&served);
    served.get("/audit/export?format=csv").await.body
}

#[tokio::test]
async fn duckdb_reads_the_same_rows() {
    let csv = table().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.csv");
    fs::write(&path, &csv).unwrap();
    let script = "import duckdb, json, sys\n\
        read = duckdb.read_csv(sys.argv[1], header=True, all_varchar=True)\n\
        rows = [dict(zip(read.columns, (cell or '' for cell in row))) for row in read.fetchall()]\n\
        json.dump(rows, sys.stdout)";
    let python = with_packages().join("python/bin/python");
    let output = Command::new(python).args(["-c", script]).arg(path).output();
    let output = output.unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}");
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_same(&found, &rows(&csv));
}

/// It is 500 MB, so `scripts/test` doesn't install it.
#[tokio::test]
async fn libreoffice_reads_the_same_rows() {
    if Command::new("soffice").arg("--version").output().is_err() {
        #[expect(clippy::print_stderr, reason = "whoever runs the test should know")]
        {
            eprintln!("skipped: there is no LibreOffice (Debian's libreoffice-calc-nogui)");
        }
        return;
    }
    let csv = table().await;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("audit.csv"), &csv).unwrap();
    let found = rows(&through_libreoffice(dir.path()));
    let mut expected = rows(&csv);
    for row in &mut expected {
        // LibreOffice takes this text for a number.
        assert_eq!(row["schema_version"], "1.0");
        row["schema_version"] = "1".into();
        // A cell has no tabs, and its lines end with LF.
        for cell in row.as_object_mut().unwrap().values_mut() {
            let text = cell.as_str().unwrap();
            *cell = text.replace('\t', "").replace("\r\n", "\n").into();
        }
    }
    assert_same(&found, &expected);
}

/// Opens `audit.csv` as a spreadsheet, and saves that as CSV.
fn through_libreoffice(dir: &Path) -> Vec<u8> {
    // Comma, quotes, UTF-8, from the first line on; see "Filter Options for the CSV Filter".
    let form = "44,34,76,1";
    let run = |to: &str, from: &str, more: &[String]| {
        let home = format!("-env:UserInstallation=file://{}/home", dir.display());
        let mut office = Command::new("soffice");
        office.args(["--headless", &home, "--convert-to", to, "--outdir"]);
        let output = office.arg(dir.join("out")).args(more).arg(dir.join(from));
        let output = output.output().unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{problem}");
    };
    run("ods", "audit.csv", &[format!("--infilter=CSV:{form}")]);
    let to = format!("csv:Text - txt - csv (StarCalc):{form}");
    run(&to, "out/audit.ods", &[]);
    fs::read(dir.join("out/audit.csv")).unwrap()
}

fn assert_same(found: &[Value], expected: &[Value]) {
    assert!(found.len() >= 200 + HOSTILE.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}
