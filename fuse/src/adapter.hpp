// The one place that includes libfuse: its session, the requests that are under way, and their answers.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <array>
#include <atomic>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <list>
#include <memory>
#include <optional>

#include "adapter_notifier.hpp"
#include "adapter_wire.hpp"
#include "base/task_group.hpp"
#include "fuse/mount.hpp"

namespace fusefs {

/// One message of the kernel; as long as the longest.
using Buffer = std::unique_ptr<std::uint8_t[]>;

struct Adapter;

/// One request until it is answered. Its coroutine owns it, with the mount's list of those under way.
struct Request : std::enable_shared_from_this<Request> {
    Request(fuse_req_t req_in, Adapter& mount_in) : req{req_in}, mount{mount_in} {}

    fuse_req_t req;  ///< libfuse's; gone once answered
    Adapter& mount;
    wire::Request wire;
    boost::asio::cancellation_signal cancel;
    base::TimePoint since;
    bool answered = false;
    bool timed_out = false;
    bool waits_for_ever = false;  ///< for a lock
    bool interrupted = false;     ///< its caller was sent a signal
    bool reads_buffer = false;    ///< its coroutine uses the message's bytes
    Buffer buffer;                ///< which it then keeps beyond the wake-up
    std::list<std::shared_ptr<Request>>::iterator place;

    [[nodiscard]] Files& files() const;
    [[nodiscard]] Caller caller() const;

    void fail(int error);
    void done() { fail(0); }
    void done(const base::Result<void>& result) { fail(result ? 0 : error_number(result.error())); }
    void entry(const base::Result<EntryReply>& result);
    void attributes(const base::Result<Attributes>& result);
    void open(const base::Result<OpenReply>& result, fuse_file_info info);
    void create(const base::Result<CreateReply>& result, fuse_file_info info);
    void bytes(base::ByteView bytes);
    /// As getxattr and listxattr want it: the length only if `limit` is 0.
    void bytes_or_length(base::ByteView bytes, std::size_t limit);
    void pieces(const std::vector<objstore::ReadPiece>& pieces);
    void listing(const std::vector<DirectoryEntry>& entries, std::size_t limit, bool with_attributes);
};

using RequestPtr = std::shared_ptr<Request>;

struct Adapter {
    Adapter(base::NodeEnv env_in, MountConfig config_in);
    ~Adapter();
    Adapter(const Adapter&) = delete;
    Adapter& operator=(const Adapter&) = delete;

    base::NodeEnv env;
    MountConfig config;
    Notifier notifier;
    fuse_session* session = nullptr;
    bool mounted = false;
    Files* files = nullptr;
    std::optional<boost::asio::posix::stream_descriptor> device;
    std::list<RequestPtr> under_way;
    base::Event idle;                   ///< nothing is under way
    std::size_t pressing = 0;           ///< of those under way, all but those that wait for a lock
    std::shared_ptr<base::Event> room;  ///< pulsed when `pressing` is below the limit again
    Buffer current;                     ///< of the request that is being read
    std::vector<Buffer> spare;
    wire::Request wire;                      ///< of the request that libfuse is being given
    std::uint64_t first_unique = 0;          ///< of the request that agrees on the protocol, until it is answered
    std::array<std::uint64_t, 64> counts{};  ///< by opcode
    std::uint64_t answered_later = 0;
    std::uint64_t wake_ups = 0;

    /// Runs `task` as far as it gets now; the rest when what it waits for is there.
    void start(const RequestPtr& request, base::Task<void> task);
    void ended(const RequestPtr& request, const std::exception_ptr& failure);
    void end_all();

    base::Task<void> read_requests();
    base::Task<void> watch_calls();
    void interrupt(Request& request);
    [[nodiscard]] bool is_dying(const Request& request) const;
    /// The kernel will send no more.
    [[nodiscard]] bool cut_off() const;
    /// False once there is nothing more to read, ever.
    [[nodiscard]] bool take_one(bool& empty);
    void unmount();
};

[[nodiscard]] const fuse_lowlevel_ops& operations();

}  // namespace fusefs
