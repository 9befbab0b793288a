// The verbs of `pelago archive`, a file each.
#pragma once

#include <string>
#include <vector>

#include "cli/verbs.hpp"
#include "objstore/snapshot.hpp"

namespace tools {

void add_backup(Verbs& verbs, CLI::App& archive);
void add_restore(Verbs& verbs, CLI::App& archive);
void add_snapshots(Verbs& verbs, CLI::App& archive);
void add_ls(Verbs& verbs, CLI::App& archive);

/// --host, --tag, --path: which snapshots "latest" and `snapshots` mean.
struct FilterOptions {
    objstore::SnapshotFilter filter;
    void add_to(CLI::App& verb);
};

/// What find_snapshot() said, after what could not be done, which names the snapshot.
[[nodiscard]] base::Error explain(const base::Error& not_found, const std::string& what);

/// "a,b" and "--tag a --tag b" are the same two tags. Sorted, no duplicates.
[[nodiscard]] std::vector<std::string> split_tags(const std::vector<std::string>& given);

}  // namespace tools
