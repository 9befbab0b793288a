#include "archive/verbs.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "cli/families.hpp"
#include "keys/verbs.hpp"
#include "objstore/archive/listing.hpp"
#include "objstore/error.hpp"

namespace tools {

void FilterOptions::add_to(CLI::App& verb) {
    const bool free = verb.get_option_no_throw("-H") == nullptr;
    verb.add_option(free ? "-H,--host" : "--host", filter.hosts, "Only snapshots of this machine (again: or of that)")
        ->type_name("NAME")
        ->allow_extra_args(false);
    verb.add_option_function<std::vector<std::string>>(
            "--tag",
            [this](const std::vector<std::string>& given) {
                for (const auto& list : given) filter.tags.push_back(split_tags({list}));
            },
            "Only snapshots with this tag; a,b: with both; again: or with that")
        ->type_name("TAG")
        ->allow_extra_args(false);
    verb.add_option("--path", filter.paths, "Only snapshots of this path (again for more)")
        ->type_name("PATH")
        ->transform([](const std::string& path) {  // as a backup records it
            if (path.empty()) return path;
            auto text = std::filesystem::absolute(path).lexically_normal().string();
            if (text.size() > 1 && text.back() == '/') text.pop_back();
            return text;
        })
        ->allow_extra_args(false);
}

std::vector<std::string> split_tags(const std::vector<std::string>& given) {
    std::vector<std::string> tags;
    for (std::string_view rest : given) {
        while (!rest.empty()) {
            const auto comma = rest.find(',');
            if (comma != 0) tags.emplace_back(rest.substr(0, comma));
            rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
        }
    }
    std::ranges::sort(tags);
    const auto [first, last] = std::ranges::unique(tags);
    tags.erase(first, last);
    return tags;
}

base::Result<objstore::Snapshot> choose_snapshot(const VolumeAccess& access, std::string_view name,
                                                 const FilterOptions& options, const std::string& what) {
    BASE_TRY(const auto snapshots, access.session->run(access.volume->snapshots()));
    auto found = objstore::find_snapshot(snapshots, name, options.filter);
    if (found) return found;
    const auto error = in_view_of_damage(found.error(), *access.volume);
    return error == objstore::Errc::no_such_snapshot ? base::Error{error.code(), what} : error.with(what);
}

base::Result<std::vector<objstore::Snapshot>> choose_snapshots(const VolumeAccess& access,
                                                               const std::vector<std::string>& names,
                                                               const FilterOptions& options, const std::string& what) {
    std::vector<objstore::Snapshot> chosen;
    if (names.empty()) {
        auto all = access.session->run(objstore::archive::list_snapshots(*access.volume, options.filter));
        if (!all) return all.error().with(what);
        return all;
    }
    for (const auto& name : names) {
        BASE_TRY(auto one, choose_snapshot(access, name, options, what + " '" + name + "'"));
        if (std::ranges::find(chosen, one) == chosen.end()) chosen.push_back(std::move(one));
    }
    return chosen;
}

void add_archive_verbs(Verbs& verbs) {
    CLI::App& archive = verbs.group("archive", "Back up directories and restore them");
    add_backup(verbs, archive);
    add_restore(verbs, archive);
    add_snapshots(verbs, archive);
    add_ls(verbs, archive);
    add_diff(verbs, archive);
    add_dump(verbs, archive);
    add_find(verbs, archive);
    add_forget(verbs, archive);
    add_stats(verbs, archive);
    add_tag(verbs, archive);
    add_rewrite(verbs, archive);
    add_repair(verbs, archive);
    add_prune(verbs, archive);
    add_copy(verbs, archive);
    add_check(verbs, archive);
    add_mount(verbs, archive);
    // As restic has it.
    CLI::App* key = archive.add_subcommand("key", "Manage the passphrases of the owner's key");
    key->require_subcommand(0, 1);
    key->footer("'pelago archive key VERB --help' explains a verb and shows an example.");
    add_passphrase_verbs(verbs, *key);
}

}  // namespace tools
