// pelago archive dump
#include "objstore/archive/dump.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/reports.hpp"
#include "archive/tar.hpp"
#include "archive/verbs.hpp"
#include "base/error.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "objstore/archive/listing.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::archive::DumpedFile;
using objstore::archive::DumpSink;

struct Options {
    std::string snapshot;
    std::string path;
    std::string format = "tar";
    std::string target;
    FilterOptions filter;
    std::string volume;
};

/// Standard output or a file.
class Output {
  public:
    [[nodiscard]] static base::Result<std::unique_ptr<Output>> open(Io& io, const std::string& target) {
        auto out = std::unique_ptr<Output>{new Output{io, target}};
        if (target.empty()) return out;
        out->file_ = ::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (out->file_ < 0) return base::Error{base::from_errno(errno), "cannot write " + target};
        give_to_owner(out->file_, target);
        return out;
    }
    ~Output() {
        if (file_ >= 0) ::close(file_);
    }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    base::Result<void> write(std::string_view text) {
        if (file_ < 0) {
            io_.out(text);
            return io_.finish();
        }
        while (!text.empty()) {
            const auto done = ::write(file_, text.data(), text.size());
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) return base::Error{base::from_errno(errno), "cannot write " + target_};
            text.remove_prefix(static_cast<std::size_t>(done));
        }
        return base::ok();
    }

  private:
    Output(Io& io, std::string target) : io_{io}, target_{std::move(target)} {}
    Io& io_;
    std::string target_;
    int file_ = -1;
};

class FileSink final : public DumpSink {
  public:
    explicit FileSink(Output& out) : out_{out} {}
    base::Result<void> begin(const DumpedFile& file) override {
        if (file.inode.type == base::FileType::regular) return base::ok();
        return usage_error("cannot dump " + file.path + ": it is neither a file nor a directory");
    }
    base::Result<void> write(base::ByteView bytes) override { return out_.write(base::as_text(bytes)); }

  private:
    Output& out_;
};

class TarSink final : public DumpSink {
  public:
    explicit TarSink(Output& out) : out_{out} {}
    base::Result<void> begin(const DumpedFile& file) override {
        BASE_CHECK(pad());
        const auto header = tar_header(file);
        if (header) return out_.write(*header);
        ++left_out_;
        return base::ok();
    }
    base::Result<void> write(base::ByteView bytes) override {
        content_ += bytes.size();
        return out_.write(base::as_text(bytes));
    }
    base::Result<void> finish() {
        BASE_CHECK(pad());
        return out_.write(tar_end());
    }
    [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

  private:
    base::Result<void> pad() { return out_.write(tar_padding(std::exchange(content_, 0))); }
    Output& out_;
    std::uint64_t content_ = 0;
    std::uint64_t left_out_ = 0;
};

base::Result<bool> is_directory(const VolumeAccess& access, const objstore::Snapshot& snapshot,
                                const std::string& path) {
    objstore::archive::SnapshotReader reader{*access.volume, snapshot};
    BASE_TRY(const auto node, access.session->run(reader.resolve(path)));
    return node.inode->type == base::FileType::directory;
}

base::Result<ExitCode> dump(Context& context, const Options& options) {
    Console& console = context.console;
    const auto [name, above] = objstore::archive::parse_snapshot_path(options.snapshot);
    const auto path = above == "/" ? options.path : join_path(above, options.path);
    const std::string what = "cannot dump '" + options.path + "' of '" + options.snapshot + "'";
    if (console.output().json && options.target.empty())
        return usage_error("--json and the files cannot both go to standard output; give --target FILE");
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    BASE_TRY(const auto snapshot, choose_snapshot(access, name, options.filter, what));
    const auto directory = is_directory(access, snapshot, path);
    if (!directory) return directory.error().with(what);
    if (*directory && options.target.empty() && context.io.environment().out_is_terminal)
        return usage_error("a tar is nothing for a terminal; give --target FILE, or | tar xf -");
    BASE_TRY(const auto out, Output::open(context.io, options.target));
    FileSink file{*out};
    TarSink tar{*out};
    DumpSink& sink = *directory ? static_cast<DumpSink&>(tar) : file;
    Progress progress{console, "dump"};
    auto& session = *access.session;
    const auto report = session.run(
        objstore::archive::dump(session.env(), *access.volume, snapshot, path, sink, show_progress(progress)),
        [&progress] { progress.tick(); });
    console.status("");
    if (!report) return report.error().with(what);
    if (*directory) BASE_CHECK(tar.finish());
    print_warnings(console, report->warnings);
    if (tar.left_out() > 0)
        console.note(plural(tar.left_out(), "socket was", "sockets were") + " left out: a tar has none");
    if (console.output().json) {
        console.print_json({{"message_type", "summary"},
                            {"snapshot_id", snapshot.id().hex()},
                            {"path", path},
                            {"target", options.target},
                            {"files_dumped", report->files},
                            {"dirs_dumped", report->directories},
                            {"bytes_dumped", report->bytes},
                            {"warnings", to_json(report->warnings)}});
    }
    return report_damage(context, *access.volume, exit_code_of(report->warnings));
}

}  // namespace

void add_dump(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb =
        verbs.add(archive,
                  {"dump", "Write a file of a snapshot to standard output, or a directory as a tar",
                   "archive dump latest /home/ann/letter.txt | less\narchive dump 40dc1520 /home/ann --target ann.tar",
                   "Nothing is restored on disk. A tar has names, owners, modes, times, links and extended attributes; "
                   "a file that "
                   "is damaged is left out of it and named."},
                  [options](Context& context) { return dump(context, *options); });
    verb.add_option("SNAP", options->snapshot, "Snapshot id (its first digits), or 'latest'")->required();
    verb.add_option("PATH", options->path, "File or directory in the snapshot; of SNAP:/path, below that")->required();
    verb.add_option("-a,--archive", options->format, "How a directory is written")
        ->check(CLI::IsMember({"tar"}))
        ->type_name("FORMAT")
        ->default_str("tar");
    verb.add_option("-t,--target", options->target, "Write to this file instead of standard output")->type_name("FILE");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
