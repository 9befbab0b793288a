// The session: mounting, reading requests, unmounting.
#include "adapter.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "base/error.hpp"
#include "base/wait.hpp"

namespace fusefs {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kBufferBytes = (1U << 20U) + 4096;  // the longest request: a write of 1 MiB and its header
constexpr std::size_t kMaxSpareBuffers = 16;
constexpr unsigned kBatch = 32;  // requests in a row before others on the executor have a turn
/// Requests come one after the other: looking is cheaper than sleeping and being woken (20 to 50 us).
constexpr std::chrono::microseconds kLook{50};
constexpr std::chrono::milliseconds kTick{250};

thread_local std::string g_last_complaint;  // NOLINT: libfuse tells why only by printing it

void keep_complaint(fuse_log_level /*level*/, const char* format, va_list arguments) {
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    g_last_complaint = text;
    while (g_last_complaint.ends_with('\n')) g_last_complaint.pop_back();
    if (g_last_complaint.starts_with("fuse: ")) g_last_complaint.erase(0, 6);
}

ssize_t read_device(int fd, void* buffer, size_t size, void* /*mount*/) { return ::read(fd, buffer, size); }

/// Answers pass through here; the first has an offer taken that libfuse 3.14 does not know.
ssize_t write_device(int fd, iovec* parts, int count, void* user) {
    auto* mount = static_cast<Adapter*>(user);
    if (mount->first_unique != 0) {
        const auto message = wire::take_killpriv_v2(parts, count, mount->first_unique);
        if (!message.empty()) {
            mount->first_unique = 0;
            return ::write(fd, message.data(), message.size());
        }
    }
    return ::writev(fd, parts, count);
}

void on_interrupt(fuse_req_t /*req*/, void* data) {
    // libfuse holds a lock of the request here.
    auto* request = static_cast<Request*>(data);
    asio::post(request->mount.env.executor, [weak = request->weak_from_this()] {
        const auto still = weak.lock();
        if (!still || still->answered) return;
        still->interrupted = true;  // a second signal would not be told
        still->mount.interrupt(*still);
    });
}

int error_of(const std::exception_ptr& failure, bool timed_out) {
    try {
        std::rethrow_exception(failure);
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) return timed_out ? EIO : EINTR;
        return EIO;
    } catch (const std::bad_alloc&) {
        return ENOMEM;
    } catch (...) {
        return EIO;
    }
}

}  // namespace

// --- One request

void Adapter::start(const RequestPtr& request, base::Task<void> task) {
    idle.reset();
    if (!request->waits_for_ever) ++pressing;
    request->since = env.clock.now();
    request->place = under_way.insert(under_way.end(), request);
    auto on_end = [this, request](const std::exception_ptr& failure) { ended(request, failure); };
    asio::co_spawn(env.executor, std::move(task),
                   asio::bind_cancellation_slot(request->cancel.slot(), std::move(on_end)));
    if (request->answered) return;
    ++answered_later;
    if (request->reads_buffer) request->buffer = std::move(current);
    fuse_req_interrupt_func(request->req, on_interrupt, request.get());
}

void Adapter::ended(const RequestPtr& request, const std::exception_ptr& failure) {
    if (!request->answered) request->fail(failure ? error_of(failure, request->timed_out) : EIO);
    if (request->buffer && spare.size() < kMaxSpareBuffers) spare.push_back(std::move(request->buffer));
    under_way.erase(request->place);
    if (!request->waits_for_ever && pressing-- == config.max_requests) room->pulse();
    if (under_way.empty()) idle.set();
}

void Adapter::end_all() {
    const std::vector<RequestPtr> now{under_way.begin(), under_way.end()};
    for (const auto& request : now) request->cancel.emit(asio::cancellation_type::all);
}

bool Adapter::is_dying(const Request& request) const {
    return config.dies(static_cast<std::uint32_t>(fuse_req_ctx(request.req)->pid));
}

void Adapter::interrupt(Request& request) {
    if (!request.waits_for_ever && !is_dying(request)) return;
    request.cancel.emit(asio::cancellation_type::all);
}

base::Task<void> Adapter::watch_calls() {
    for (;;) {
        co_await env.clock.sleep_for(kTick);
        const auto now = env.clock.now();
        const std::vector<RequestPtr> present{under_way.begin(), under_way.end()};
        for (const auto& request : present) {
            if (!request->answered && request->interrupted) interrupt(*request);
            // Where so many wait that no request is read, word of a signal is not either.
            if (!request->answered && pressing >= config.max_requests && is_dying(*request))
                request->cancel.emit(asio::cancellation_type::all);
            if (request->answered || request->waits_for_ever || config.timeout == base::Duration::zero() ||
                now - request->since < config.timeout + kTick)
                continue;  // what gives up by itself says why
            request->timed_out = true;
            request->cancel.emit(asio::cancellation_type::all);
        }
    }
}

// --- Reading

bool Adapter::take_one(bool& empty) {
    if (!current && !spare.empty()) {
        current = std::move(spare.back());
        spare.pop_back();
    }
    if (!current) current = std::make_unique_for_overwrite<std::uint8_t[]>(kBufferBytes);
    const auto got = ::read(device->native_handle(), current.get(), kBufferBytes);
    if (got < 0 && errno == EAGAIN) {
        empty = true;
        return true;
    }
    if (got < 0 && (errno == EINTR || errno == ENOENT)) return true;  // ENOENT: taken back by an interrupt
    if (got <= 0) return false;                                       // ENODEV: unmounted
    const auto size = static_cast<std::size_t>(got);
    wire = wire::look_at({current.get(), size});
    if (wire.is_first && wire.offers_killpriv_v2) first_unique = wire.unique;
    if (wire.opcode < counts.size()) ++counts[wire.opcode];
    fuse_buf buffer{};
    buffer.size = size;
    buffer.mem = current.get();
    fuse_session_process_buf(session, &buffer);
    return true;
}

bool Adapter::cut_off() const {
    pollfd connection{fuse_session_fd(session), 0, 0};
    return ::poll(&connection, 1, 0) > 0 && (connection.revents & POLLERR) != 0;
}

base::Task<void> Adapter::read_requests() {
    auto look_until = env.clock.now();
    for (;;) {
        bool empty = false;
        unsigned taken = 0;
        for (; taken < kBatch && !empty && pressing < config.max_requests; ++taken) {
            if (!mounted || !take_one(empty)) co_return;
        }
        if (pressing >= config.max_requests) {
            // Nothing is refused: callers wait in the kernel until some of these were answered, or timed out.
            if (!mounted || cut_off()) co_return;
            co_await base::wait_until(env.clock, room, env.clock.now() + kTick);
            continue;
        }
        const auto now = env.clock.now();
        if (!empty || taken > 1) look_until = now + kLook;
        if (!empty || now < look_until) {
            co_await asio::post(env.executor, asio::use_awaitable);
            continue;
        }
        ++wake_ups;
        co_await device->async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
    }
}

// --- Mounting

Adapter::Adapter(base::NodeEnv env_in, MountConfig config_in)
    : env{env_in}, config{std::move(config_in)}, idle{env.executor}, room{std::make_shared<base::Event>(env.executor)} {
    idle.set();
}

Adapter::~Adapter() {
    unmount();
    notifier.stop();
    if (session != nullptr) fuse_session_destroy(session);
}

Mount::Mount(base::NodeEnv env, MountConfig config) : adapter_{std::make_unique<Adapter>(env, std::move(config))} {}

Mount::~Mount() = default;

KernelCache& Mount::kernel_cache() { return adapter_->notifier; }

namespace {

/// Commas and backslashes part options.
std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == ',' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

}  // namespace

base::Result<void> Mount::mount() {
    Adapter& state = *adapter_;
    const auto failed = [&](int code) {
        const std::string why = g_last_complaint.empty() ? std::string{} : ": " + g_last_complaint;
        return base::Error{std::error_code{code == 0 ? EIO : code, std::generic_category()},
                           "cannot mount on " + state.config.directory + why};
    };
    fuse_set_log_func(keep_complaint);
    g_last_complaint.clear();
    fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
    fuse_opt_add_arg(&arguments, "pelago");
    std::string options = "default_permissions,subtype=pelago,fsname=" + escaped(state.config.source);
    for (const auto& option : state.config.options) options += "," + option;
    fuse_opt_add_arg(&arguments, ("-o" + options).c_str());
    state.session = fuse_session_new(&arguments, &operations(), sizeof(fuse_lowlevel_ops), &state);
    fuse_opt_free_args(&arguments);
    if (state.session == nullptr) return failed(EINVAL);
    errno = 0;
    if (fuse_session_mount(state.session, state.config.directory.c_str()) != 0) {
        const int code = errno;
        fuse_session_destroy(std::exchange(state.session, nullptr));
        return failed(code);
    }
    state.mounted = true;
    const int device = fuse_session_fd(state.session);
    fuse_custom_io io{};
    io.read = read_device;
    io.writev = write_device;
    if (const int refused = fuse_session_custom_io(state.session, &io, device); refused != 0) return failed(-refused);
    ::fcntl(device, F_SETFL, ::fcntl(device, F_GETFL) | O_NONBLOCK);
    state.notifier.start([session = state.session](const Notifier::Item& item) {
        if (item.name.empty()) {
            fuse_lowlevel_notify_inval_inode(session, item.node, 0, 0);
        } else {
            fuse_lowlevel_notify_inval_entry(session, item.node, item.name.data(), item.name.size());
        }
    });
    return base::ok();
}

void Adapter::unmount() {
    if (!mounted) return;
    mounted = false;
    if (device) device->release();  // libfuse closes it
    fuse_session_unmount(session);
}

base::Task<void> Mount::unmount() {
    Adapter& state = *adapter_;
    // The kernel may hold the notifier up until a request is answered: answer on until it has ended.
    state.notifier.ask_to_stop();
    constexpr std::chrono::milliseconds kPause{1};
    while (state.mounted && !state.notifier.stopped()) co_await state.env.clock.sleep_for(kPause);
    state.unmount();
}

base::Task<void> Mount::serve(Files& files) {
    Adapter& state = *adapter_;
    if (!state.mounted) co_return;
    state.files = &files;
    state.device.emplace(state.env.executor, fuse_session_fd(state.session));
    base::TaskGroup group{state.env.executor};
    group.spawn(state.watch_calls());
    std::exception_ptr failure;
    try {
        co_await state.read_requests();
    } catch (...) {
        failure = std::current_exception();
    }
    // Whoever ended it, the rest ends in order.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (!state.mounted) failure = nullptr;
    state.unmount();
    state.end_all();
    co_await state.idle.wait();
    state.files = nullptr;
    group.cancel();
    try {
        co_await group.join();
    } catch (...) {
        if (!failure) failure = std::current_exception();
    }
    state.device.reset();
    if (failure) std::rethrow_exception(failure);
}

Mount::Statistics Mount::statistics() const {
    Statistics all;
    all.answered_later = adapter_->answered_later;
    all.wake_ups = adapter_->wake_ups;
    for (std::uint32_t opcode = 0; opcode < adapter_->counts.size(); ++opcode) {
        const auto count = adapter_->counts[opcode];
        all.requests += count;
        if (count > 0) all.by_kind.emplace_back(wire::name_of(opcode), count);
    }
    return all;
}

}  // namespace fusefs
