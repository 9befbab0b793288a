#include "restore_run.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>

#include "objstore/archive/scanner.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

constexpr std::size_t kNodesAtOnce = 2048;
constexpr std::size_t kWindowFiles = 8192;
constexpr std::size_t kWindowExtents = 32'768;
constexpr std::size_t kGroupFiles = 512;     // of files without content: a job's worth
constexpr std::size_t kPrefetchExtents = 6;  // of a large file
constexpr std::size_t kDirectoriesAtOnce = 512;
constexpr std::size_t kMaxXattrBytes = 64U << 10U;  // what a kernel takes

// Follows no link below the target and makes nothing.
base::Result<DirectoryPtr> existing_directory(base::LocalTree& tree, const std::string& target,
                                              const std::string& path) {
    BASE_TRY(auto opened, tree.open(target));
    DirectoryPtr directory = std::move(opened);
    for (const auto name : split(path)) {
        BASE_TRY(auto next, directory->open_directory(name));
        directory = std::move(next);
    }
    return directory;
}

base::Result<void> remove_whole(base::LocalDirectory& from, const std::string& name) {
    BASE_TRY(const auto stat, from.stat(name));
    if (stat.type == base::FileType::directory) {
        BASE_TRY(const auto directory, from.open_directory(name));
        BASE_TRY(const auto entries, directory->list());
        for (const auto& entry : entries) BASE_CHECK(remove_whole(*directory, entry.name));
    }
    return from.remove(name);
}

}  // namespace

RestoreRun::RestoreRun(base::NodeEnv env, base::LocalTree& tree, Volume& volume, Snapshot snapshot,
                       RestoreOptions options, ProgressFunction progress)
    : env_{env},
      tree_{tree},
      volume_{volume},
      snapshot_{std::move(snapshot)},
      options_{std::move(options)},
      progress_{std::move(progress)},
      reader_{volume, snapshot_},
      making_{env.executor, env.workers.parallelism() + 2},
      group_{env.executor} {
    shown_.total_files = snapshot_.files;
    shown_.total_bytes = snapshot_.bytes;
}

base::Task<base::Result<RestoreReport>> RestoreRun::run() {
    const auto started = env_.clock.now();
    const auto fetched = volume_.reader().blocks_fetched();
    std::exception_ptr cancelled;
    std::optional<base::Error> error;
    try {
        if (auto done = co_await body(); !done) error = done.error();
    } catch (...) {
        cancelled = std::current_exception();
    }
    if (cancelled || error) {
        // The jobs under way refer to this object: nothing goes before they have ended.
        co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation{});
        group_.cancel();
        co_await group_.join();
        if (cancelled) std::rethrow_exception(cancelled);
        co_return *error;
    }
    report_.duration = env_.clock.now() - started;
    report_.blocks_read = volume_.reader().blocks_fetched() - fetched;
    report_.warnings = warnings_.take();
    co_return std::move(report_);
}

base::Task<base::Result<void>> RestoreRun::body() {
    BASE_CO_CHECK(co_await open_target());
    BASE_CO_CHECK(co_await walk());
    BASE_CO_CHECK(co_await flush_window());
    co_await group_.join();
    if (error_) co_return *error_;
    BASE_CO_CHECK(co_await make_links());
    co_return co_await finish_directories();
}

base::Task<base::Result<void>> RestoreRun::open_target() {
    BASE_CO_TRY(auto top, co_await reader_.resolve(options_.sub_path));
    std::string path = "/";
    for (const auto name : split(options_.sub_path)) {
        if (name != ".") path = joined(path, name);
    }
    DirectoryPtr directory;
    if (!options_.dry_run) {
        auto create = [this] { return tree_.create(options_.target); };
        BASE_CO_TRY(auto created, co_await env_.workers.run(std::move(create)));
        directory = std::move(created);
    }
    const bool replace = options_.overwrite != Overwrite::never;
    target_ = std::make_unique<TargetTree>(std::move(directory), tree_, replace, warnings_);
    how_.emplace(Making{*target_, volume_.keys().epoch, warnings_, options_.overwrite, options_.verify});
    if (top.inode->type == base::FileType::directory) {
        entered_.insert(top.number);
        stack_.push_back({top.number, TargetTree::kTop, path, options_.includes.empty(), 0, is_leading(*top.inode)});
        co_return base::ok();
    }
    const auto names = split(path);
    Entry entry{std::string{names.back()}, top.number, top.inode->type};
    Pending above;
    above.path = path.substr(0, std::max<std::size_t>(1, path.rfind('/')));
    above.selected = true;
    co_return co_await take(std::move(above), std::move(entry), std::move(top));
}

// --- what is to be made

base::Task<base::Result<void>> RestoreRun::walk() {
    while (!stack_.empty()) {
        auto directory = std::move(stack_.back());
        stack_.pop_back();
        const auto below = stack_.size();
        BASE_CO_CHECK(co_await walk_directory(std::move(directory)));
        // Subdirectories were pushed in order of their names: the first comes next, as in the walk of the backup.
        std::reverse(stack_.begin() + static_cast<std::ptrdiff_t>(below), stack_.end());
        tell();
    }
    co_return base::ok();
}

base::Task<base::Result<void>> RestoreRun::walk_directory(Pending directory) {
    auto read = co_await reader_.entries(directory.number);
    if (!read) {
        if (serious(read.error())) co_return read.error();
        warnings_.add(WarningKind::damaged, directory.path, read.error());
        co_return base::ok();
    }
    const auto listed = std::make_shared<const std::vector<Entry>>(std::move(*read));
    const auto& entries = *listed;
    if (options_.remove_others && !directory.leading) {
        auto copy = directory;
        co_await remove_others(std::move(copy), listed);
    }
    for (std::size_t begin = 0; begin < entries.size(); begin += kNodesAtOnce) {
        const auto end = std::min(entries.size(), begin + kNodesAtOnce);
        std::vector<InodeNumber> numbers;
        for (auto i = begin; i < end; ++i) numbers.push_back(entries[i].inode);
        auto nodes = co_await reader_.nodes(std::move(numbers));
        if (!nodes) {
            if (serious(nodes.error())) co_return nodes.error();
            warnings_.add(WarningKind::damaged, directory.path, nodes.error());
            continue;
        }
        for (auto i = begin; i < end; ++i) {
            if (i > 0 && entries[i].name == entries[i - 1].name) {
                warnings_.add(WarningKind::refused, joined(directory.path, entries[i].name),
                              base::Error{Errc::damaged, "a second entry of that name"});
                continue;
            }
            auto entry = entries[i];
            auto node = std::move((*nodes)[i - begin]);
            auto above = directory;
            BASE_CO_CHECK(co_await take(std::move(above), std::move(entry), std::move(node)));
        }
    }
    co_return base::ok();
}

// Before anything is made in the directory: nothing of it is open yet.
base::Task<void> RestoreRun::remove_others(Pending directory, std::shared_ptr<const std::vector<Entry>> entries) {
    const auto removed = std::make_shared<std::vector<std::string>>();
    auto job = [this, directory, entries, removed] {
        const auto path = target_->path(directory.target);
        const auto there = existing_directory(tree_, options_.target, path);
        const auto listed =
            there ? (*there)->list() : base::Result<std::vector<base::LocalDirectory::Entry>>{there.error()};
        if (!listed) return;  // nothing is in it, or making what belongs there tells
        for (const auto& entry : *listed) {
            const auto same = std::lower_bound(entries->begin(), entries->end(), entry.name,
                                               [](const Entry& a, const std::string& name) { return a.name < name; });
            if (is_temporary_name(entry.name) || (same != entries->end() && same->name == entry.name)) continue;
            const auto in_snapshot = joined(directory.path, entry.name);
            const auto names = split(in_snapshot);
            const bool is_directory = entry.type == base::FileType::directory;
            if (options_.excludes.matches(names, is_directory)) continue;
            if (!directory.selected && !options_.includes.matches(names, is_directory)) continue;
            const auto gone = options_.dry_run ? base::ok() : remove_whole(**there, entry.name);
            warn_of(warnings_, WarningKind::unwritable, joined(path, entry.name), gone);
            if (gone) removed->push_back(joined(path, entry.name));
        }
    };
    co_await env_.workers.run(std::move(job));
    report_.removed += removed->size();
    for (const auto& path : *removed) {
        if (options_.on_removed) options_.on_removed(path);
    }
}

base::Task<base::Result<void>> RestoreRun::take(Pending above, Entry entry, Node node) {
    auto path = joined(above.path, entry.name);
    if (auto damage = damage_of(entry, node)) {
        warnings_.add(WarningKind::damaged, std::move(path), std::move(*damage));
        co_return base::ok();
    }
    const bool directory = node.inode->type == base::FileType::directory;
    const auto names = split(path);
    if (options_.excludes.matches(names, directory)) co_return base::ok();
    const bool selected = above.selected || options_.includes.matches(names, directory);
    if (!selected && !(directory && options_.includes.may_match_below(names))) co_return base::ok();

    TargetFile file;
    file.number = node.number;
    file.directory = above.target;
    file.name = std::move(entry.name);
    file.attributes.inode = *node.inode;
    if (!directory && node.inode->nlink > 1) {
        if (!first_names_.emplace(node.number, FirstName{file.directory, file.name}).second) {
            links_.push_back(std::move(file));
            co_return base::ok();
        }
    }
    const auto number = node.number;
    const bool leading = is_leading(*node.inode);
    if (!directory) co_return co_await take_content(std::move(file), std::move(node), std::move(path));
    BASE_CO_TRY(file.attributes.xattrs, co_await xattrs_of(std::move(node), path));
    if (!entered_.insert(number).second) {
        warnings_.add(WarningKind::refused, std::move(path), base::Error{Errc::damaged, "a directory inside itself"});
        co_return base::ok();
    }
    if (above.depth >= kMaxDepth) {
        warnings_.add(WarningKind::refused, std::move(path), too_deep());
        co_return base::ok();
    }
    const auto target = target_->add(above.target, std::move(file.name), std::move(file.attributes));
    if (selected) target_->want(target);
    stack_.push_back({number, target, std::move(path), selected, above.depth + 1, leading});
    co_return base::ok();
}

base::Task<base::Result<void>> RestoreRun::take_content(TargetFile file, Node node, std::string path) {
    auto extents = usable_extents(node);
    if (!extents) {
        warnings_.add(WarningKind::refused, std::move(path), extents.error());
        count(file, {});
        co_return base::ok();
    }
    file.extents = std::move(*extents);
    file.link_target = base::as_text(node.inline_data);
    BASE_CO_TRY(file.attributes.xattrs, co_await xattrs_of(std::move(node), std::move(path)));
    co_return co_await take_file(std::move(file));
}

base::Task<base::Result<std::vector<base::Xattr>>> RestoreRun::xattrs_of(Node node, std::string path) {
    std::vector<base::Xattr> xattrs;
    for (auto& record : node.xattrs) {
        auto name = record.name;
        const auto* extent = std::get_if<Extent>(&record.value);
        if (name.find('\0') != std::string::npos || (extent != nullptr && extent->length > kMaxXattrBytes)) {
            warnings_.add(WarningKind::refused, path, base::Error{Errc::damaged, "extended attribute"});
            continue;
        }
        auto value = co_await reader_.value_of(std::move(record));
        if (!value) {
            if (serious(value.error())) co_return value.error();
            warnings_.add(WarningKind::damaged, path, value.error());
            continue;
        }
        xattrs.push_back({std::move(name), std::move(*value)});
    }
    co_return xattrs;
}

base::Task<base::Result<void>> RestoreRun::take_file(TargetFile file) {
    if (options_.dry_run) {
        ++report_.files;
        ++shown_.files;
        for (const auto& stretch : file.extents) report_.bytes += stretch.extent.length;
        co_return base::ok();
    }
    window_extents_ += file.extents.size();
    window_.push_back(std::move(file));
    if (window_.size() >= kWindowFiles || window_extents_ >= kWindowExtents) co_return co_await flush_window();
    co_return base::ok();
}

// --- making it

base::Task<base::Result<void>> RestoreRun::flush_window() {
    auto window = std::exchange(window_, {});
    window_extents_ = 0;
    // Files of one block together, blocks in the order in which the walk met them: that is how they were packed.
    std::unordered_map<base::Guid, std::size_t> group_of;
    std::vector<std::pair<BlockRefPtr, std::shared_ptr<Group>>> groups;
    std::shared_ptr<Group> without_content;
    std::vector<TargetFile> large;
    for (auto& file : window) {
        if (file.extents.empty()) {
            if (!without_content || without_content->size() >= kGroupFiles) {
                without_content = std::make_shared<Group>();
                groups.emplace_back(nullptr, without_content);
            }
            without_content->push_back(std::move(file));
            continue;
        }
        const auto& block = file.extents.front().extent.block;
        const bool in_one = std::all_of(file.extents.begin(), file.extents.end(), [&](const Node::Stretch& stretch) {
            return stretch.extent.block->id == block->id;
        });
        if (!in_one) {
            large.push_back(std::move(file));
            continue;
        }
        const auto [at, added] = group_of.emplace(block->id, groups.size());
        if (added) groups.emplace_back(block, std::make_shared<Group>());
        groups[at->second].second->push_back(std::move(file));
    }
    for (auto& [block, group] : groups) {
        auto permit = co_await making_.acquire();
        if (error_) co_return *error_;
        group_.spawn(make_group(std::move(block), std::move(group), std::move(permit)));
    }
    for (auto& file : large) {
        auto permit = co_await making_.acquire();
        if (error_) co_return *error_;
        group_.spawn(make_large(std::move(file), std::move(permit)));
    }
    co_return base::ok();
}

// Not only this file is in danger: the rest would fail in the same way.
bool RestoreRun::serious(const base::Error& error) const { return !is_isolated_damage(error.code()); }

// What is there already costs no block; of the rest, one fetch for all.
base::Task<void> RestoreRun::make_group(BlockRefPtr block, std::shared_ptr<Group> group, base::Semaphore::Permit) {
    const auto results = std::make_shared<std::vector<FileResult>>(group->size());
    const auto waiting = std::make_shared<std::vector<Waiting>>();
    auto look = [this, group, results, waiting, fetch = block != nullptr] {
        for (std::size_t i = 0; i < group->size(); ++i) {
            const auto& file = (*group)[i];
            if (file.attributes.inode.type != base::FileType::regular) {
                (*results)[i] = make_special_file(*how_, file);
                continue;
            }
            auto writer = std::make_unique<FileWriter>(*how_, file);
            const auto found = writer->look();
            std::size_t present = 0;
            while (found == FileWriter::Found::candidate && present <= file.extents.size() && writer->has(present)) {
                ++present;
            }
            if (found == FileWriter::Found::done) {
                (*results)[i] = writer->finish();
            } else if (present > file.extents.size()) {
                (*results)[i] = writer->take();
            } else if (fetch) {
                waiting->push_back({std::move(writer), i});
            } else {
                (*results)[i] = write_file(*writer, nullptr);
            }
        }
    };
    co_await env_.workers.run(std::move(look));
    if (!waiting->empty()) {
        auto read = co_await volume_.reader().read(block);
        if (!read && serious(read.error())) error_ = read.error();
        auto write = [this, results, waiting, read = std::move(read)] {
            for (auto& [writer, at] : *waiting) {
                if (!read) writer->fail(WarningKind::damaged, read.error());
                if (read) (*results)[at] = write_file(*writer, read->get());
                writer.reset();
            }
        };
        co_await env_.workers.run(std::move(write));
    }
    for (std::size_t i = 0; i < results->size(); ++i) {
        for (const auto& stretch : (*group)[i].extents) shown_.bytes += stretch.extent.length;
        count((*group)[i], (*results)[i]);
    }
    if (!error_) error_ = warnings_.full();
    current_ = target_->path(group->back().directory, group->back().name);
    tell();
}

// On the pool: a file whose content lies in one block.
FileResult RestoreRun::write_file(FileWriter& writer, const OpenedBlock* block) {
    if (writer.open()) writer.start(0);
    const auto& extents = writer.file().extents;
    for (const auto& stretch : extents) {
        const auto bytes = bytes_of(stretch.extent, *block);
        if (!bytes) {
            writer.fail(WarningKind::damaged, base::Error{Errc::damaged, "an extent reaches beyond its block"});
            break;
        }
        if (!writer.write(stretch.offset, *bytes)) break;
    }
    auto result = writer.finish();
    if (!options_.verify || result.made != Made::made) return result;
    result.verified = std::all_of(extents.begin(), extents.end(), [&](const Node::Stretch& stretch) {
        return writer.verify(stretch.offset, *bytes_of(stretch.extent, *block));
    });
    return result;
}

base::Task<void> RestoreRun::make_large(TargetFile file, base::Semaphore::Permit) {
    const auto writer = std::make_shared<FileWriter>(*how_, std::move(file));
    auto result = co_await find_or_write_large(writer);
    if (options_.verify && result.made == Made::made) result.verified = co_await write_large(writer, 0, true);
    count(writer->file(), result);
    if (!error_) error_ = warnings_.full();
    current_ = target_->path(writer->file().directory, writer->file().name);
    tell();
}

base::Task<FileResult> RestoreRun::find_or_write_large(std::shared_ptr<FileWriter> writer) {
    const auto extents = writer->file().extents.size();
    auto look = [writer] { return writer->look(); };
    const auto found = co_await env_.workers.run(std::move(look));
    if (found == FileWriter::Found::candidate && co_await count_present(writer, extents + 1) > extents) {
        auto take = [writer] { return writer->take(); };
        co_return co_await env_.workers.run(std::move(take));
    }
    if (found != FileWriter::Found::done) {
        auto open = [writer] { return writer->open(); };
        std::size_t first = 0;
        if (co_await env_.workers.run(std::move(open))) {
            first = co_await count_present(writer, extents);
            auto start = [writer, first] { writer->start(first); };
            co_await env_.workers.run(std::move(start));
        }
        if (!co_await write_large(writer, first, false)) co_return FileResult{};
    }
    auto finish = [writer] { return writer->finish(); };
    co_return co_await env_.workers.run(std::move(finish));
}

// How many extents, from the first on, are on disk already. A job for each: a restore can be stopped in between.
base::Task<std::size_t> RestoreRun::count_present(std::shared_ptr<FileWriter> writer, std::size_t most) {
    const auto& extents = writer->file().extents;
    const auto shown = shown_.bytes;
    std::size_t present = 0;
    while (present < most) {
        auto look = [writer, present] { return writer->has(present); };
        if (!co_await env_.workers.run(std::move(look))) break;
        if (present < extents.size()) shown_.bytes += extents[present].extent.length;
        ++present;
        tell();
    }
    // Of a file that is written anew after all, nothing was done yet.
    if (most > extents.size() && present < most) shown_.bytes = shown;
    co_return present;
}

// Goes through the extents, the next blocks being fetched and opened meanwhile. False after an error.
base::Task<bool> RestoreRun::write_large(std::shared_ptr<FileWriter> writer, std::size_t first, bool verify) {
    const auto& extents = writer->file().extents;
    for (auto i = first; i < extents.size(); ++i) {
        for (auto ahead = i == first ? i + 1 : i + kPrefetchExtents - 1;
             ahead < extents.size() && ahead < i + kPrefetchExtents; ++ahead) {
            volume_.reader().prefetch(extents[ahead].extent.block);
        }
        auto block = co_await volume_.reader().read(extents[i].extent.block);
        if (!block) {
            // What is in danger as a whole ends this restore: the next one goes on with what there is of the file.
            if (serious(block.error())) error_ = block.error();
            if (!serious(block.error()) || verify) writer->fail(WarningKind::damaged, block.error());
            co_return false;
        }
        auto job = [writer, verify, stretch = extents[i], opened = std::move(*block)] {
            const auto bytes = bytes_of(stretch.extent, *opened);
            if (!bytes) {
                writer->fail(WarningKind::damaged, base::Error{Errc::damaged, "an extent reaches beyond its block"});
                return false;
            }
            return verify ? writer->verify(stretch.offset, *bytes) : writer->write(stretch.offset, *bytes);
        };
        if (!co_await env_.workers.run(std::move(job))) co_return false;
        if (!verify) shown_.bytes += extents[i].extent.length;
        tell();
    }
    co_return true;
}

void RestoreRun::count(const TargetFile& file, const FileResult& result) {
    ++shown_.files;
    report_.bytes += result.bytes;
    if (result.verified) ++report_.verified;
    if (result.made == Made::same || result.made == Made::kept) ++report_.kept;
    if (result.made == Made::made) ++report_.files;
    if (result.made == Made::failed) ++report_.failed;
    if (const auto first = first_names_.find(file.number); first != first_names_.end()) {
        if (first->second.directory == file.directory && first->second.name == file.name) {
            first->second.made = result.made;
        }
    }
}

// --- further names of files

base::Task<base::Result<void>> RestoreRun::make_links() {
    if (options_.dry_run) {
        report_.files += links_.size();
        co_return base::ok();
    }
    auto links = std::exchange(links_, {});
    while (!links.empty()) {
        auto job = [this, links = std::move(links)]() mutable { return link_or_put_off(std::move(links)); };
        auto put_off = co_await env_.workers.run(std::move(job));
        BASE_CO_TRY(links, co_await make_copies(std::move(put_off)));
        if (auto full = warnings_.full()) co_return std::move(*full);
    }
    co_return base::ok();
}

// On the pool, alone. A link is made only to what this restore made, or found to be what the snapshot has. Returns
// those for which there is no such thing (yet).
std::vector<TargetFile> RestoreRun::link_or_put_off(std::vector<TargetFile> links) {
    std::vector<TargetFile> put_off;
    for (auto& link : links) {
        auto& first = first_names_.at(link.number);
        if (const auto kept = keep_existing(*how_, link)) {
            count(link, *kept);
            continue;
        }
        if (first.made == Made::failed) {
            warnings_.add(WarningKind::unwritable, target_->path(link.directory, link.name),
                          base::Error{base::Errc::not_found, "the file it is another name of was not made"});
            count(link, {});
            continue;
        }
        const bool usable = first.made == Made::made || first.made == Made::same;
        if (const auto made = usable ? make_hard_link(*how_, link, first.directory, first.name) : std::nullopt) {
            count(link, *made);
            continue;
        }
        if (usable) warnings_.add(WarningKind::unlinked, target_->path(link.directory, link.name), {});
        first.made = Made::kept;  // no others are linked to it
        put_off.push_back(std::move(link));
    }
    return put_off;
}

// The first of each file is made as a file of its own: the others then are links to that. Returns the others.
base::Task<base::Result<std::vector<TargetFile>>> RestoreRun::make_copies(std::vector<TargetFile> links) {
    std::vector<TargetFile> others;
    std::set<InodeNumber> begun;
    for (auto& link : links) {
        if (!begun.insert(link.number).second) {
            others.push_back(std::move(link));
            continue;
        }
        std::vector<InodeNumber> number{link.number};
        BASE_CO_TRY(auto nodes, co_await reader_.nodes(std::move(number)));
        first_names_[link.number] = FirstName{link.directory, link.name};
        auto path = target_->path(link.directory, link.name);
        BASE_CO_CHECK(co_await take_content(std::move(link), std::move(nodes.front()), std::move(path)));
    }
    BASE_CO_CHECK(co_await flush_window());
    co_await group_.join();
    if (error_) co_return *error_;
    co_return others;
}

// Children have higher numbers than their parents: descending, every directory is finished after what is in it.
base::Task<base::Result<void>> RestoreRun::finish_directories() {
    if (options_.dry_run) {
        report_.directories = target_->size() - 1;
        co_return base::ok();
    }
    for (auto end = target_->size(); end > 1;) {
        const auto begin = end > kDirectoriesAtOnce + 1 ? end - static_cast<std::uint32_t>(kDirectoriesAtOnce) : 1;
        auto job = [this, begin, end] {
            std::uint64_t made = 0;
            for (auto directory = end; directory-- > begin;) made += target_->finish(directory) ? 1U : 0U;
            return made;
        };
        report_.directories += co_await env_.workers.run(std::move(job));
        if (auto full = warnings_.full()) co_return std::move(*full);
        end = begin;
    }
    co_return base::ok();
}

void RestoreRun::tell() {
    if (!progress_) return;
    shown_.warnings = warnings_.count();
    shown_.current = &current_;
    progress_(shown_);
}

base::Task<base::Result<RestoreReport>> restore(base::NodeEnv env, base::LocalTree& tree, Volume& volume,
                                                Snapshot snapshot, RestoreOptions options, ProgressFunction progress) {
    const auto run =
        std::make_unique<RestoreRun>(env, tree, volume, std::move(snapshot), std::move(options), std::move(progress));
    co_return co_await run->run();
}

}  // namespace objstore::archive
