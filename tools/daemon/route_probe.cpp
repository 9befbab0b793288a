#include "daemon/route_probe.hpp"

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

namespace tools {

namespace {

constexpr std::uint8_t kQuestion = 1;
constexpr std::uint8_t kAnswer = 2;
constexpr std::size_t kMaxWaiting = 64;

}  // namespace

struct RouteProbe::Waiting {
    explicit Waiting(base::Executor executor) : arrived{std::move(executor)} {}
    base::Event arrived;
    std::optional<Arrival> arrival;
};

RouteProbe::RouteProbe(base::NodeEnv env, pastry::Kbr& kbr, base::Transport::RequestHandler on_request)
    : env_{env}, kbr_{kbr} {
    kbr_.attach(base::Service::diagnostics, this);
    env_.transport.serve(base::Service::diagnostics, std::move(on_request),
                         [this](const base::Peer& from, base::Message message) { on_answer(from, message); });
}

RouteProbe::~RouteProbe() {
    env_.transport.serve(base::Service::diagnostics, {}, {});
    kbr_.attach(base::Service::diagnostics, nullptr);
}

base::Task<base::Result<RouteProbe::Arrival>> RouteProbe::send(base::Guid key, base::TimePoint deadline) {
    if (waiting_.size() >= kMaxWaiting) co_return base::Error{base::Errc::busy, "too many probes are under way"};
    const auto number = env_.rng.next();
    const auto waiting = std::make_shared<Waiting>(env_.executor);
    waiting_[number] = waiting;
    const auto timer = env_.clock.schedule(deadline, [waiting] { waiting->arrived.set(); });
    const auto sent = env_.clock.now();
    base::Writer header;
    header.u64(number);
    base::Message question{base::Service::diagnostics, kQuestion, header.take()};
    kbr_.route(key, std::move(question));
    co_await waiting->arrived.wait();
    env_.clock.cancel(timer);
    waiting_.erase(number);
    if (!waiting->arrival) co_return base::Error{base::Errc::timed_out, "the root of " + key.short_hex()};
    waiting->arrival->rtt = env_.clock.now() - sent;
    co_return *waiting->arrival;
}

void RouteProbe::deliver(const base::Guid&, const pastry::NodeHandle& origin, base::Message message, unsigned hops) {
    base::Reader in{message.header};
    const auto number = in.u64();
    if (!in.complete() || message.verb() != kQuestion) return;
    base::Writer header;
    header.u64(number).u32(hops).text(kbr_.self().address.endpoint).text(kbr_.self().failure_domain);
    base::Message answer{base::Service::diagnostics, kAnswer, header.take()};
    if (origin.id() == kbr_.self().id()) {
        base::Peer us;
        us.address = kbr_.self().address;
        on_answer(us, answer);
    } else {
        env_.transport.notify(origin.address, std::move(answer));
    }
}

void RouteProbe::on_answer(const base::Peer& from, const base::Message& message) {
    if (message.verb() != kAnswer) return;
    base::Reader in{message.header};
    const auto number = in.u64();
    Arrival arrival;
    arrival.root.address.id = from.address.id;
    arrival.hops = in.u32();
    arrival.root.address.endpoint = in.text(base::kMaxEndpointBytes);
    arrival.root.failure_domain = in.text(base::kMaxFailureDomainBytes);
    const auto found = waiting_.find(number);
    if (!in.complete() || found == waiting_.end()) return;
    found->second->arrival = std::move(arrival);
    found->second->arrived.set();
}

}  // namespace tools
