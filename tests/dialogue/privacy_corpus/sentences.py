"""Sentences that personal data stands in: `{}` is its place."""

from __future__ import annotations

EMAIL = (
    "You can write to {} any time.",
    "my email is {}",
    "E-Mail: {}, danke",
    "<{}>",
    "mailto:{}?subject=hi",
    "Contact {}.",
    "send the invoice to {}, please, not to the office",
    "Mon adresse : {} (perso)",
    "escríbeme a {}!",
    "我的邮箱是{}，谢谢",
    "请发到{}",
    "{}",
    "was it {}?",
    "she said “{}” is hers; @anna knows",
)
PHONE = (
    "My phone number is {}.",
    "call me on {} after six",
    "Text {} when you arrive, ok?",
    "Mobile: {}",
    "you can reach her at {}",
    "Tel. {}",
    "Meine Handynummer ist {}, bis später",
    "mon numéro de téléphone : {}",
    "mi teléfono es el {}",
    "我的电话是{}，晚上打给我",
    "手机号：{}谢谢",
    "{} is my new number",
    "whatsapp {} or ring the bell at 10:30",
)
CARD = (
    "Pay with {} exp 09/27",
    "my card number is {}.",
    "card: {} 12/26 123",
    "Kreditkarte {}, gültig bis 01/28",
    "carte {} svp",
    "银行卡号是{}，请查一下",
    "{}",
    "I think it was {} but check",
    "MasterCard or Visa? {}!",
    "tarjeta ({})",
)
IBAN = (
    "My IBAN is {}, BIC COBADEFFXXX.",
    "transfer it to {} please",
    "IBAN: {}",
    "Konto {} bei der Bank",
    "virement sur {} merci",
    "账户{}谢谢",
    "{}",
    "is {} still right?",
    "({})",
)
IP = (
    "The server at {} is down.",
    "ping {}",
    "my ip is {}, can you see it?",
    "http://[{}]:8080/status",
    "from {}/24 only",
    "connect to {}: it answers",
    "我的IP是{}，连不上",
    "IP地址：{}。",
    "Die Adresse {} antwortet nicht",
    "{}",
    "ip={}; port=80",
)
KEY = (
    "here it is: {}",
    "{}",
    "use {} for the demo",
    "令牌：{}",
    "I pasted `{}` by mistake",
    "key={}",
)
PASSWORD = (
    "my password is {}, don't tell",
    "password: {}",
    "the wifi password is “{}”",
    "PASSWORD={}",
    "Das Passwort lautet {}.",
    "mot de passe : {}",
    "mi contraseña es {}",
    "密码是{}，别告诉别人",
    "user anna, pwd: {}",
    'db_password="{}"',
)
SECRET = (
    "api key: {}",
    "aws_secret_access_key = {}",
    "the client secret is {}",
    '"api_key": "{}"',
    "my access token is {} ok",
    "SECRET_KEY={}",
    "API密钥是{}",
)
INTRODUCTION = (
    "Hi, my name is {}.",
    "this is {} speaking",
    "I'd like to speak to Mr. {}",
    "Dr {} will see you",
    "call me {}!",
    "Best regards,\n{}",
    "ich heiße {}",
    "je m'appelle {}",
    "me llamo {}",
    "my brother {} lives there",
    "我叫{}。",
    "联系人：{}，谢谢",
    "请找{}先生",
)
BARE_NAME = (
    "{} told me so yesterday",
    "I met {} in town",
    "where is {}?",
    "{}和我一起去",
    "昨天{}来了",
)
BARE_PHONE = ("{}", "it's {} then", "{} until six", "好的，{}", "oui, {} merci")
