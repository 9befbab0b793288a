#include "daemon/control.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/host/host_runtime.hpp"
#include "base/host/local_socket.hpp"
#include "cli/exit_code.hpp"
#include "session/shared_store.hpp"

namespace tools {

namespace {

/// The whole conversation of ask_daemon(directory, ...), on its own loop.
base::Task<base::Result<nlohmann::json>> ask_once(base::host::HostRuntime& runtime, std::string path,
                                                  std::string question, nlohmann::json arguments,
                                                  base::Duration timeout) {
    const auto daemon = base::host::connect_local(runtime.executor(), runtime.clock(), runtime.rng(), std::move(path));
    co_return co_await ask_daemon(*daemon, runtime.clock(), std::move(question), std::move(arguments), timeout);
}

}  // namespace

base::Message control_request(const std::string& question, const nlohmann::json& arguments) {
    const nlohmann::json document{{"question", question}, {"arguments", arguments}};
    return {base::Service::local, kControlVerb, base::to_bytes(document.dump()), {}};
}

base::Task<base::Result<nlohmann::json>> ask_daemon(base::Transport& daemon, base::Clock& clock, std::string question,
                                                    nlohmann::json arguments, base::Duration timeout) {
    auto request = control_request(question, arguments);
    const base::Address anyone;
    auto answer = co_await daemon.request(anyone, std::move(request), clock.now() + timeout);
    if (!answer) co_return answer.error();
    auto document = nlohmann::json::parse(base::as_text(answer->payload.view()), nullptr, /*allow_exceptions=*/false);
    if (document.is_discarded()) co_return base::Error{base::Errc::bad_format, "the node's answer"};
    co_return document;
}

base::Result<nlohmann::json> ask_daemon(const DataDirectory& directory, const std::string& question,
                                        const nlohmann::json& arguments, base::Duration timeout) {
    base::host::HostRuntime runtime{base::Log::Level::warning, 1};
    const auto socket = directory.socket();
    auto answer = runtime.run(ask_once(runtime, socket, question, arguments, timeout));
    const bool unanswered =
        !answer && (answer.error() == base::Errc::unreachable || answer.error() == base::Errc::unsupported);
    if (!unanswered) return answer;
    if (directory.other_socket.empty()) {
        const auto network = joined_network(directory);
        if (!network) return network.error().with("cannot use " + directory.path);
        // A command that holds the store of this machine alone may be listening there.
        if (!*network) return base::Error{Errc::no_network, "cannot use " + directory.path};
    }
    // The node itself may have said it, of another one.
    if (somebody_listens(socket)) return answer;
    return base::Error{Errc::no_node, "cannot ask the node at " + socket};
}

void ControlTable::add(std::string question, Answer answer) { answers_[std::move(question)] = std::move(answer); }

base::Task<base::Result<base::Message>> ControlTable::handle(base::Message message) {
    if (message.header.size() > kMaxControlBytes)
        co_return base::Error{base::Errc::bad_format, "a question to the node"};
    const auto document = nlohmann::json::parse(base::as_text(message.header), nullptr, /*allow_exceptions=*/false);
    const bool well_formed = document.is_object() && document.contains("question") &&
                             document["question"].is_string() && document.contains("arguments");
    if (!well_formed) co_return base::Error{base::Errc::bad_format, "a question to the node"};
    auto question = document["question"].get<std::string>();
    auto arguments = document["arguments"];
    BASE_CO_TRY(const auto answer, co_await ask(std::move(question), std::move(arguments)));
    base::SharedBytes payload{base::to_bytes(answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))};
    co_return base::Message(base::Service::local, kControlVerb, base::Bytes{}, std::move(payload));
}

base::Task<base::Result<nlohmann::json>> ControlTable::ask(std::string question, nlohmann::json arguments) {
    const auto found = answers_.find(question);
    if (found == answers_.end()) {
        co_return base::Error{base::Errc::unsupported,
                              "the running node does not know '" + question + "'; restart it with this version"};
    }
    base::Result<nlohmann::json> answered = base::Error{base::Errc::bad_argument};
    try {
        answered = co_await found->second(std::move(arguments));
    } catch (const nlohmann::json::exception&) {  // an argument of another type than it must have
        answered = base::Error{base::Errc::bad_argument, "the arguments of '" + question + "'"};
    }
    co_return answered;
}

}  // namespace tools
