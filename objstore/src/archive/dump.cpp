#include "objstore/archive/dump.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "archive/file_writer.hpp"
#include "objstore/archive/scanner.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

using base::FileType;

constexpr std::size_t kNodesAtOnce = 2048;
constexpr std::size_t kPrefetchExtents = 6;
constexpr std::size_t kZerosAtOnce = 1U << 20U;

class Dump {
  public:
    Dump(base::NodeEnv env, Volume& volume, const Snapshot& snapshot, DumpSink& sink, ProgressFunction progress)
        : env_{env}, volume_{volume}, reader_{volume, snapshot}, sink_{sink}, progress_{std::move(progress)} {}

    base::Task<base::Result<DumpReport>> run(std::string path);

  private:
    using Opened = std::shared_ptr<const OpenedBlock>;
    struct Pending {
        std::string path;
        Node node;
        unsigned depth = 0;
    };
    base::Task<base::Result<void>> take_directory(Pending directory);
    base::Task<base::Result<void>> take_entries(const Pending& directory, std::vector<Entry> entries);
    base::Task<base::Result<void>> take_file(std::string path, Node node);
    base::Task<base::Result<void>> take_content(DumpedFile file, std::vector<Node::Stretch> extents);
    base::Task<base::Result<Opened>> read_ahead(const std::vector<Node::Stretch>& extents, std::size_t at);
    base::Task<base::Result<std::deque<Opened>>> read_window(const std::vector<Node::Stretch>& extents);
    base::Task<base::Result<void>> begin(DumpedFile file);
    base::Task<base::Result<void>> write_zeros(std::uint64_t length);
    base::Task<base::Result<DumpedFile>> described(std::string path, Node node);

    base::NodeEnv env_;
    Volume& volume_;
    SnapshotReader reader_;
    DumpSink& sink_;
    ProgressFunction progress_;
    std::vector<Pending> stack_;  // the next directory last
    std::unordered_set<InodeNumber> entered_;
    std::unordered_map<InodeNumber, std::string> first_names_;
    Progress shown_;
    DumpReport report_;
};

base::Task<base::Result<DumpReport>> Dump::run(std::string path) {
    BASE_CO_TRY(auto top, co_await reader_.resolve(path));
    std::string clean = "/";
    for (const auto name : split(path)) {
        if (name != ".") clean = joined(clean, name);
    }
    if (top.inode->type == FileType::directory) {
        stack_.push_back({std::move(clean), std::move(top), 0});
    } else {
        BASE_CO_CHECK(co_await take_file(std::move(clean), std::move(top)));
    }
    while (!stack_.empty()) {
        auto next = std::move(stack_.back());
        stack_.pop_back();
        BASE_CO_CHECK(co_await take_directory(std::move(next)));
    }
    co_return std::move(report_);
}

base::Task<base::Result<void>> Dump::take_directory(Pending directory) {
    if (!entered_.insert(directory.node.number).second || directory.depth > kMaxDepth) co_return base::ok();
    if (directory.path != "/") {
        auto node = directory.node;
        auto path = directory.path;
        BASE_CO_TRY(auto file, co_await described(std::move(path), std::move(node)));
        BASE_CO_CHECK(co_await begin(std::move(file)));
        ++report_.directories;
    }
    auto entries = co_await reader_.entries(directory.node.number);
    if (!entries) co_return leave_out_damaged(report_.warnings, directory.path, entries.error());
    const auto above = stack_.size();
    for (std::size_t from = 0; from < entries->size(); from += kNodesAtOnce) {
        const auto to = std::min(entries->size(), from + kNodesAtOnce);
        std::vector<Entry> part(entries->begin() + static_cast<std::ptrdiff_t>(from),
                                entries->begin() + static_cast<std::ptrdiff_t>(to));
        BASE_CO_CHECK(co_await take_entries(directory, std::move(part)));
    }
    std::reverse(stack_.begin() + static_cast<std::ptrdiff_t>(above), stack_.end());
    co_return base::ok();
}

base::Task<base::Result<void>> Dump::take_entries(const Pending& directory, std::vector<Entry> entries) {
    std::vector<InodeNumber> numbers;
    for (const auto& entry : entries) numbers.push_back(entry.inode);
    auto nodes = co_await reader_.nodes(std::move(numbers));
    if (!nodes) co_return leave_out_damaged(report_.warnings, directory.path, nodes.error());
    for (std::size_t i = 0; i < entries.size(); ++i) {
        auto& node = (*nodes)[i];
        auto path = joined(directory.path, entries[i].name);
        if (const auto damage = damage_of(entries[i], node)) {
            BASE_CO_CHECK(leave_out_damaged(report_.warnings, path, *damage));
        } else if (node.inode->type == FileType::directory) {
            stack_.push_back({std::move(path), std::move(node), directory.depth + 1});
        } else {
            BASE_CO_CHECK(co_await take_file(std::move(path), std::move(node)));
        }
    }
    co_return base::ok();
}

base::Task<base::Result<void>> Dump::take_file(std::string path, Node node) {
    auto extents = usable_extents(node);
    if (!extents) co_return leave_out_damaged(report_.warnings, path, extents.error());
    const auto number = node.number;
    const bool linked = node.inode->nlink > 1;
    BASE_CO_TRY(auto file, co_await described(std::move(path), std::move(node)));
    if (linked) {
        if (const auto first = first_names_.find(number); first != first_names_.end()) file.first_name = first->second;
    }
    auto name = file.path;
    const auto files = report_.files;
    if (file.first_name.empty() && file.inode.type == FileType::regular) {
        BASE_CO_CHECK(co_await take_content(std::move(file), std::move(*extents)));
    } else {
        BASE_CO_CHECK(co_await begin(std::move(file)));
        ++report_.files;
    }
    if (linked && report_.files > files) first_names_.emplace(number, std::move(name));
    co_return base::ok();
}

/// The block of that extent; those of the next ones are on their way meanwhile.
base::Task<base::Result<Dump::Opened>> Dump::read_ahead(const std::vector<Node::Stretch>& extents, std::size_t at) {
    for (auto next = at + 1; next < std::min(extents.size(), at + kPrefetchExtents); ++next)
        volume_.reader().prefetch(extents[next].extent.block);
    return volume_.reader().read(extents[at].extent.block);
}

// As many of the first blocks as the window takes: a file that is damaged there is left out whole.
base::Task<base::Result<std::deque<Dump::Opened>>> Dump::read_window(const std::vector<Node::Stretch>& extents) {
    std::deque<Opened> blocks;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < extents.size() && bytes < kDumpWindowBytes; ++i) {
        BASE_CO_TRY(auto block, co_await read_ahead(extents, i));
        if (!bytes_of(extents[i].extent, *block))
            co_return base::Error{Errc::damaged, "an extent reaches beyond its block"};
        blocks.push_back(std::move(block));
        bytes += extents[i].extent.length;
    }
    co_return blocks;
}

base::Task<base::Result<void>> Dump::take_content(DumpedFile file, std::vector<Node::Stretch> extents) {
    const auto path = file.path;
    const auto size = file.inode.size;
    auto window = co_await read_window(extents);
    if (!window) co_return leave_out_damaged(report_.warnings, path, window.error());
    BASE_CO_CHECK(co_await begin(std::move(file)));
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < extents.size(); ++i) {
        BASE_CO_CHECK(co_await write_zeros(extents[i].offset - at));
        Opened block;
        if (!window->empty()) {
            block = std::move(window->front());
            window->pop_front();
        } else {
            auto read = co_await read_ahead(extents, i);
            if (!read) co_return read.error().with(path + ", of which a part is written already");
            block = std::move(*read);
        }
        const auto bytes = bytes_of(extents[i].extent, *block);
        if (!bytes) co_return base::Error{Errc::damaged, path + ": an extent reaches beyond its block"};
        auto job = [this, bytes = *bytes] { return sink_.write(bytes); };
        BASE_CO_CHECK(co_await env_.workers.run(std::move(job)));
        at = extents[i].offset + bytes->size();
        shown_.bytes += bytes->size();
        if (progress_) progress_(shown_);
    }
    BASE_CO_CHECK(co_await write_zeros(size - at));
    ++report_.files;
    report_.bytes += size;
    co_return base::ok();
}

base::Task<base::Result<void>> Dump::write_zeros(std::uint64_t length) {
    if (length == 0) co_return base::ok();
    auto job = [this, length] {
        const base::Bytes zeros(static_cast<std::size_t>(std::min<std::uint64_t>(length, kZerosAtOnce)));
        base::Result<void> done = base::ok();
        for (auto left = length; left > 0 && done;) {
            const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(left, zeros.size()));
            done = sink_.write(base::ByteView{zeros}.first(now));
            left -= now;
        }
        return done;
    };
    co_return co_await env_.workers.run(std::move(job));
}

base::Task<base::Result<void>> Dump::begin(DumpedFile file) {
    if (progress_) {
        if (file.inode.type == FileType::directory) {
            ++shown_.directories;
        } else {
            ++shown_.files;
        }
        shown_.current = &file.path;
        progress_(shown_);
        shown_.current = nullptr;
    }
    auto job = [this, &file] { return sink_.begin(file); };
    co_return co_await env_.workers.run(std::move(job));
}

base::Task<base::Result<DumpedFile>> Dump::described(std::string path, Node node) {
    DumpedFile file;
    file.path = std::move(path);
    file.inode = *node.inode;
    if (file.inode.type == FileType::symlink) file.target = base::as_text(node.inline_data);
    for (auto& record : node.xattrs) {
        auto name = record.name;
        auto value = co_await reader_.value_of(std::move(record));
        if (!value) {
            BASE_CO_CHECK(leave_out_damaged(report_.warnings, file.path, value.error()));
            continue;
        }
        file.xattrs.push_back({std::move(name), std::move(*value)});
    }
    co_return file;
}

}  // namespace

base::Task<base::Result<DumpReport>> dump(base::NodeEnv env, Volume& volume, Snapshot snapshot, std::string path,
                                          DumpSink& sink, ProgressFunction progress) {
    const auto run = std::make_unique<Dump>(env, volume, snapshot, sink, std::move(progress));
    co_return co_await run->run(std::move(path));
}

}  // namespace objstore::archive
