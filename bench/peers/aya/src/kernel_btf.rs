//! The kernel's own BTF: Btf::from_sys_fs, and looking names up in it.
//!
//! usage: aya kernel-btf SAMPLES SAMPLE_MS WARM_UP_MS open|find NAMES
//!
//! NAMES is a file with lines of a kind and a name. `open` reads; `find` looks all names up too.

use aya_obj::btf::{Btf, BtfKind};

use crate::measure::{fail, measure, must, Plan};

pub fn read_names(path: &str) -> Vec<(BtfKind, String)> {
    let text = must(path, std::fs::read_to_string(path));
    text.lines()
        .map(|line| match line.split_once(' ') {
            Some(("struct", name)) => (BtfKind::Struct, name.to_owned()),
            Some(("func", name)) => (BtfKind::Func, name.to_owned()),
            Some(("typedef", name)) => (BtfKind::Typedef, name.to_owned()),
            Some(("enum", name)) => (BtfKind::Enum, name.to_owned()),
            _ => fail("reading a name", line),
        })
        .collect()
}

pub fn open() -> Btf {
    must("Btf::from_sys_fs", Btf::from_sys_fs())
}

pub fn find_all(btf: &Btf, names: &[(BtfKind, String)]) -> Vec<u32> {
    names
        .iter()
        .map(|(kind, name)| must(name, btf.id_by_type_name_kind(name, *kind)))
        .collect()
}

/// How many types there are, void among them: a type that is added gets that number.
pub fn facts(mut btf: Btf, ids: &[u32]) -> Vec<(&'static str, String)> {
    let types = btf.add_type(aya_obj::btf::BtfType::Unknown);
    vec![("types", types.to_string()), ("ids", format!("{ids:?}"))]
}

pub fn run(plan: Plan, arguments: &[&str]) {
    let [mode, path] = arguments else {
        fail("reading open|find NAMES", "two arguments");
    };
    let names = read_names(path);
    let measurement = if *mode == "find" {
        let mut find = || u64::from(find_all(&open(), &names)[0]);
        measure(&mut find, plan)
    } else {
        let mut only = || {
            std::hint::black_box(&open());
            1
        };
        measure(&mut only, plan)
    };
    let btf = open();
    let ids = find_all(&btf, &names);
    measurement.print(&facts(btf, &ids));
}
